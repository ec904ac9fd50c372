package datadir_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"batchd/internal/datadir"
)

// TestMain lets the test binary be the other process that holds a lock.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BATCHD_TEST_LOCK_DIR"); dir != "" {
		holdLock(dir)
	}
	os.Exit(m.Run())
}

// holdLock locks dir, says so, and keeps the lock until it is killed.
func holdLock(dir string) {
	lock, err := datadir.TryLock(dir)
	if err != nil {
		os.Exit(1)
	}
	defer func() { _ = lock.Close() }()
	_, _ = os.Stdout.WriteString("locked\n")
	_, _ = os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}

func TestASecondProcessLearnsWhoHoldsTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), "BATCHD_TEST_LOCK_DIR="+dir)
	stdin, err := holder.StdinPipe()
	must(t, err)
	defer func() { _ = stdin.Close() }()
	stdout, err := holder.StdoutPipe()
	must(t, err)
	must(t, holder.Start())
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the holder said %q, %v", line, err)
	}

	_, err = datadir.TryLock(dir)
	var locked *datadir.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("got %v, want a LockedError", err)
	}
	if locked.PID != holder.Process.Pid || locked.Since.IsZero() || locked.Dir != dir {
		t.Errorf("got %+v, want pid %d of %s", locked, holder.Process.Pid, dir)
	}
	for _, part := range []string{dir, "pid " + strconv.Itoa(holder.Process.Pid), "started ", "stop it or use another --data-dir"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}

	must(t, holder.Process.Kill())
	_ = holder.Wait() // it was killed, and says so
	lock, err := datadir.TryLock(dir)
	must(t, err)
	must(t, lock.Close())
}

func TestALockIsGivenBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := datadir.TryLock(dir)
	must(t, err)
	var locked *datadir.LockedError
	if _, err := datadir.TryLock(dir); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Fatalf("got %v, want that this process holds it", err)
	}
	must(t, lock.Close())
	lock, err = datadir.TryLock(dir)
	must(t, err)
	must(t, lock.Close())
}

func TestWhoHoldsALockIsToldWithoutTakingIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check := func(what string, pid int) {
		t.Helper()
		held, err := datadir.Holder(dir)
		must(t, err)
		if (held != nil) != (pid != 0) || held != nil && held.PID != pid {
			t.Errorf("%s: got %v", what, held)
		}
	}
	check("no lock was ever taken", 0)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("the look left %v, %v", entries, err)
	}
	lock, err := datadir.TryLock(dir)
	must(t, err)
	check("it is held", os.Getpid())
	must(t, lock.Close())
	note, err := os.ReadFile(filepath.Join(dir, "lock"))
	must(t, err)
	check("it was given back", 0)
	if now, err := os.ReadFile(filepath.Join(dir, "lock")); err != nil || string(now) != string(note) {
		t.Errorf("the note has changed: %q, %v", now, err)
	}
	lock, err = datadir.TryLock(dir)
	must(t, err)
	must(t, lock.Close())
}

func TestALockWithoutANoteIsStillALock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := datadir.TryLock(dir)
	must(t, err)
	defer func() { _ = lock.Close() }()
	for _, note := range []string{"", "pid x\nstarted yesterday\n", "pid 7\nhost elsewhere\n"} {
		must(t, os.WriteFile(filepath.Join(dir, "lock"), []byte(note), 0o600))
		_, err := datadir.TryLock(dir)
		var locked *datadir.LockedError
		if !errors.As(err, &locked) {
			t.Fatalf("got %v, want a LockedError", err)
		}
		if locked.Host == "elsewhere" && !strings.Contains(err.Error(), "pid 7 on elsewhere)") {
			t.Errorf("%q does not say where", err)
		}
		if locked.PID == 0 && !strings.Contains(err.Error(), "another batchd") {
			t.Errorf("%q does not say what holds it", err)
		}
	}
}

func TestADirectoryThatIsNotThereCannotBeLocked(t *testing.T) {
	t.Parallel()
	if _, err := datadir.TryLock(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestALockFileThatCannotBeOpenedIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), datadir.LockFile)
	must(t, os.Mkdir(path, 0o700))
	if _, err := datadir.TryLock(filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), path+": is a directory") {
		t.Errorf("got %v", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestALockIsFreeOnceClosedThoughChildrenAreBeingStarted(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	var children sync.WaitGroup
	children.Go(func() {
		for ctx.Err() == nil {
			if err := exec.CommandContext(ctx, os.Args[0], "-test.run=^$").Run(); err != nil && ctx.Err() == nil {
				t.Errorf("start a child: %v", err)
			}
		}
	})
	for range 2000 {
		lock, err := datadir.TryLock(path)
		if err != nil {
			t.Errorf("locked again: %v", err)
			break
		}
		must(t, lock.Close())
	}
	stop()
	children.Wait()
}
