package upstream

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestU04DeadConnectionsAreFoundWithin45Seconds(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := dialer(Options{}.withDefaults(), nil)(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	stall, ok := c.(*conn)
	if !ok {
		t.Fatalf("dialed a %T", c)
	}
	tcp, ok := stall.Conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("it wraps a %T", stall.Conn)
	}
	conn, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option := func(level, name int) int {
		var v int
		if cerr := conn.Control(func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), level, name) }); cerr != nil || err != nil {
			t.Fatal(cerr, err)
		}
		return v
	}
	if option(unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 0 {
		t.Error("no keepalive")
	}
	idle := option(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
	every, probes := option(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL), option(unix.IPPROTO_TCP, unix.TCP_KEEPCNT)
	if idle+every*probes > 45 {
		t.Errorf("an idle dead connection is found after %d s", idle+every*probes)
	}
	if ms := option(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); ms != 45_000 {
		t.Errorf("unacknowledged bytes may wait %d ms", ms)
	}
}
