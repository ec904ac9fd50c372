package vfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"batchd/internal/vfs"
	"batchd/internal/vfs/vfstest"
)

func newOS(t *testing.T, root string, onSync func()) *vfs.OS {
	t.Helper()
	fsys, err := vfs.NewOS(root, vfs.OSOptions{OnSync: onSync})
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

func TestOSConforms(t *testing.T) {
	t.Parallel()
	vfstest.Run(t, func(t *testing.T) vfs.FS { return newOS(t, t.TempDir(), nil) })
}

func TestNewOSMakesItsRootAndSyncsEveryParentItMade(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "a", "b")
	syncs := 0
	fsys := newOS(t, root, func() { syncs++ })
	if fsys.Root() != root || syncs != 2 {
		t.Errorf("root = %q after %d syncs, want %q after 2", fsys.Root(), syncs, root)
	}
	info, err := os.Stat(root)
	if err != nil || !info.IsDir() {
		t.Fatalf("root = %v, %v, want a directory", info, err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the root = %v, want 0700", info.Mode())
	}
	newOS(t, root, func() { t.Error("a root that was there was synced") })
}

func TestNewOSRefusesARootThatIsAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{file, filepath.Join(file, "below")} {
		if _, err := vfs.NewOS(root, vfs.OSOptions{}); err == nil {
			t.Errorf("a root at %s was taken", root)
		}
	}
}

func TestOnSyncSeesEverySync(t *testing.T) {
	t.Parallel()
	syncs := 0
	fsys := newOS(t, t.TempDir(), func() { syncs++ })
	f, err := fsys.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if syncs != 0 {
		t.Errorf("%d syncs before the first", syncs)
	}
	if err := errors.Join(f.Sync(), f.Sync(), fsys.SyncDir("."), f.Close()); err != nil {
		t.Fatal(err)
	}
	if syncs != 3 {
		t.Errorf("syncs = %d, want 3", syncs)
	}
}

func TestOSFollowsAnOperatorsSymbolicLink(t *testing.T) {
	t.Parallel()
	root, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(root, "linked")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	f, err := newOS(t, root, nil).Create("linked/a")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "a")); err != nil {
		t.Error(err)
	}
}

func TestFreeTellsAPlausibleAmount(t *testing.T) {
	t.Parallel()
	free, total, err := vfs.Free(t.TempDir())
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil || total == 0 || free > total {
		t.Errorf("free = %d of %d, %v", free, total, err)
	}
}

func TestFreeOfAnAbsentDirectoryIsAnError(t *testing.T) {
	t.Parallel()
	if _, _, err := vfs.Free(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("no error")
	}
}
