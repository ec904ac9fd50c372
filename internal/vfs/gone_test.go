package vfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"batchd/internal/vfs"
)

// operations are all that an FS can be asked, on names that exist or not.
func operations(fsys vfs.FS) map[string]func() error {
	closed := func(f vfs.File, err error) error {
		if err != nil {
			return err
		}
		return f.Close()
	}
	return map[string]func() error{
		"create":    func() error { return closed(fsys.Create("new")) },
		"open":      func() error { return closed(fsys.Open("there")) },
		"openwrite": func() error { return closed(fsys.OpenWrite("there")) },
		"rename":    func() error { return fsys.Rename("there", "elsewhere") },
		"remove":    func() error { return fsys.Remove("there") },
		"mkdirall":  func() error { return fsys.MkdirAll("a/b") },
		"readdir":   func() error { _, err := fsys.ReadDir("."); return err },
		"stat":      func() error { _, err := fsys.Stat("there"); return err },
		"syncdir":   func() error { return fsys.SyncDir(".") },
	}
}

func TestNothingIsTouchedInThePlaceOfARootThatIsGone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a directory that is in use cannot be renamed there")
	}
	for name, stand := range map[string]func(root string) error{
		"nothing":           func(string) error { return nil },
		"another directory": func(root string) error { return os.MkdirAll(filepath.Join(root, "a"), 0o700) },
		"a copy": func(root string) error {
			return errors.Join(os.Mkdir(root, 0o700), os.WriteFile(filepath.Join(root, "there"), []byte("copied"), 0o600))
		},
		"a file": func(root string) error { return os.WriteFile(root, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := filepath.Join(t.TempDir(), "root")
			fsys := newOS(t, root, nil)
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(os.WriteFile(filepath.Join(root, "there"), nil, 0o600))
			must(fsys.Present())
			must(os.Rename(root, root+".away"))
			must(stand(root))
			before := tree(t, filepath.Dir(root))
			for op, try := range operations(fsys) {
				if err := try(); !errors.Is(err, vfs.ErrRootGone) || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v, want ErrRootGone alone", op, err)
				}
			}
			if after := tree(t, filepath.Dir(root)); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}

			must(os.RemoveAll(root))
			must(os.Rename(root+".away", root))
			for _, op := range []string{"open", "openwrite", "stat", "readdir", "mkdirall", "create", "syncdir", "rename"} {
				if err := operations(fsys)[op](); err != nil {
					t.Errorf("once it is back, %s: %v", op, err)
				}
			}
		})
	}
}

// tree lists what is below a directory.
func tree(t *testing.T, dir string) string {
	t.Helper()
	list := ""
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		list += path + "\n"
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
