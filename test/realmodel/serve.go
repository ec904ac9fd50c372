package realmodel

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Platform is the one that llama.cpp is fetched for, and Sequences how many calls the model's server runs at once.
const (
	Platform  = "linux/amd64"
	Sequences = 8
)

// Server returns the command that serves the tiny model on a free port, which it prints as its base URL, and what
// removes the command's directory afterwards. root is the repository's directory; scripts/setup model fetches what is needed.
func Server(root string) (serve *exec.Cmd, remove func(), err error) {
	cache, source := filepath.Join(root, ".cache"), filepath.Join(root, "testdata", "tiny-model")
	// Node looks for packages beside the script, so the script runs from a directory beside the packages.
	dir, err := os.MkdirTemp(filepath.Join(cache, "npm", "model"), "run-")
	if err != nil {
		return nil, nil, fmt.Errorf("%w: run scripts/setup model", err)
	}
	remove = func() { _ = os.RemoveAll(dir) } // a leftover in the cache harms nobody
	script, err := os.ReadFile(filepath.Join(source, "serve.mjs"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "serve.mjs"), script, 0o600)
	}
	if err != nil {
		remove()
		return nil, nil, err
	}
	node := filepath.Join(cache, "bin", "node")
	return exec.Command(node, filepath.Join(dir, "serve.mjs"), filepath.Join(source, "tiny.gguf"), "0"), remove, nil
}
