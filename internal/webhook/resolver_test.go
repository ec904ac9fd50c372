package webhook_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// resolver returns one that asks address for the IPv4 address of a name, over a name server of its own.
func resolver(t *testing.T, address func(name string) string) *net.Resolver {
	t.Helper()
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		serving.Go(func() {
			defer func() { _ = server.Close() }() // a pipe in memory
			for answerQuestion(server, address) == nil {
			}
		})
		return client, nil
	}}
}

// answerQuestion reads a question of DNS over TCP and answers it. Only addresses of IPv4 are known.
func answerQuestion(c net.Conn, address func(name string) string) error {
	const headerBytes, typeA = 12, 1
	var length uint16
	if err := binary.Read(c, binary.BigEndian, &length); err != nil {
		return err
	}
	question := make([]byte, length)
	if _, err := io.ReadFull(c, question); err != nil {
		return err
	}
	name, end := nameAt(question, headerBytes)
	asked := binary.BigEndian.Uint16(question[end:])
	end += 4 // its type and class
	answer := append([]byte(nil), question[:end]...)
	copy(answer[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
	if asked == typeA {
		ip := netip.MustParseAddr(address(name)).As4()
		answer[7] = 1
		answer = append(answer, 0xc0, headerBytes, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, ip[:]...)
	}
	_, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	return err
}

// nameAt reads a name, and returns where it ends.
func nameAt(message []byte, at int) (string, int) {
	var parts []string
	for message[at] != 0 {
		n := int(message[at])
		parts = append(parts, string(message[at+1:at+1+n]))
		at += 1 + n
	}
	return strings.Join(parts, "."), at + 1
}
