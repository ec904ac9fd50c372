package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// anything in an import list stands for every package below internal/.
const anything = "*"

// mayImport is the table of the packages below internal/: what each may import of the others, and why no more. A
// package below another, like store/sqlite below store, has a row of its own.
var mayImport = map[string]struct {
	imports string
	because string
}{
	"batch":     {"", "the vocabulary is what all others share, so it depends on none of them"},
	"failpoint": {"", "anyone may name a place where tests stop the process, so it depends on nobody"},
	"vfs":       {"", "the seam to the disk knows bytes and names, not what they mean"},
	"limit":     {"", "a pure decision from signals and a given time"},
	"sim":       {"sim/batching", "an engine that knows batchd would agree with its mistakes"},
	"config":    {"batch dialect dialect/vendors", "settings are read before anything is built from them; limits are words of the vocabulary, switches each vendor's own"},
	"datadir":   {"vfs", "a directory as files, names and a lock; what the files hold is read by others"},
	"web":       {"", "the dashboard uses the public API and nothing behind it"},
	"archtest":  {"", "reads source, never imports it"},

	"sim/batching": {"", "an engine as arithmetic in virtual time; what is tried out against it is not its business"},

	"vfs/memfs":   {"vfs", "a disk for tests behind the same seam"},
	"vfs/vfstest": {"vfs", "the conformance suite sees a disk as its users do"},

	"dialect":             {"batch", "wire shapes over the vocabulary"},
	"dialect/dialecttest": {"", "checks documents and renderings as bytes, of whatever vendor"},
	"dialect/openai":      {"batch dialect", "one vendor's rendering; the others' are none of its business"},
	"dialect/novita":      {"batch dialect dialect/openai", "Novita follows OpenAI: what they share is OpenAI's, and the rest is here"},
	"dialect/neosantara":  {"batch dialect dialect/openai", "Neosantara follows OpenAI: what they share is OpenAI's, and the rest is here"},
	"dialect/own":         {"batch dialect dialect/openai", "what no vendor has, over OpenAI's dialect"},
	"dialect/vendors":     {"dialect dialect/openai dialect/novita dialect/neosantara", "the list of vendors, and nothing but the list"},

	"store":           {"batch", "the contract of the metadata store, without a database in it"},
	"store/sqlite":    {"batch store vfs", "the contract in one dialect of SQL; only app names it"},
	"store/postgres":  {"batch store", "the contract in one dialect of SQL; only app names it"},
	"store/storetest": {"batch store", "the conformance suite sees a store as its users do"},

	"blob":          {"batch vfs", "the contract of immutable objects"},
	"blob/disk":     {"batch vfs blob", "the contract on a folder; only app names it"},
	"blob/s3":       {"batch vfs blob", "the contract on an object store; only app names it"},
	"blob/blobtest": {"batch vfs blob", "the conformance suite sees a blob store as its users do"},

	"jsonl":     {"", "finds lines in a stream; what they hold is its users' business"},
	"extsort":   {"vfs", "sorts records in bounded memory; what they mean is its users' business"},
	"plan":      {"batch dialect blob store extsort jsonl", "turns an input file into units; it sends nothing"},
	"journal":   {"batch vfs", "bytes of outcomes on one node's disk, without metadata or HTTP"},
	"unit":      {"batch datadir dialect store blob journal plan vfs dispatch", "a leased unit from open to seal, in the dispatcher's words; who calls upstream is not its business"},
	"dispatch":  {"batch limit store", "which line next; units and upstreams come in through interfaces of its own"},
	"upstream":  {"batch limit dispatch", "one call, one outcome and one signal, in the dispatcher's words; it knows no batch and no store"},
	"assemble":  {"batch dialect journal blob store extsort", "makes the final files; it decides no line's outcome"},
	"retry":     {"batch dialect blob store jsonl", "makes a new batch of what an ended one left; how it was asked for is the API's"},
	"leaseloop": {"batch store", "runs the steps that lease a whole batch; what a step does is handed in"},
	"sweep":     {"batch store blob webhook", "periodic care by the contracts alone"},
	"tenant":    {"batch store", "keys and quotas"},
	"webhook":   {"batch store", "delivers what the outbox holds"},
	"httpapi":   {"batch dialect store blob tenant", "the transport: what a call does is for the routes that mounts bring"},
	"client":    {"dialect/vendors", "talks to our API from outside, so it knows only the wire"},

	"httpapi/linescan":  {"batch", "counts lines as bytes pass by"},
	"httpapi/form":      {"batch store blob httpapi httpapi/linescan", "takes a form's bytes; what they are for is its callers' to say"},
	"httpapi/files":     {"batch dialect store blob httpapi httpapi/form", "one group of calls over the transport"},
	"httpapi/uploads":   {"batch dialect store blob httpapi httpapi/form httpapi/linescan", "one group of calls over the transport"},
	"httpapi/batches":   {"batch dialect store httpapi retry", "stores what is asked for; work is done by others on what they find there"},
	"httpapi/upstreams": {"batch dialect httpapi", "one group of calls over the transport"},

	"httpserver": {"", "handlers on listeners, whatever they answer"},
	"oneshot":    {"batch datadir dialect dialect/openai limit vfs", "one file to its results over an engine that is handed in; how that works is none of its business"},
	"admin":      {"batch store tenant webhook", "what operators do, over the contract of the store; where that comes from is the caller's"},

	"app":     {anything, "the one place that names implementations and wires them"},
	"promise": {anything, "tests the whole by its promises"},
	"cli":     {"admin app batch client config oneshot sim sim/batching store", "commands over the services that app wires, and over the API; batch and store are for their types"},
}

// onlyImporter names, for packages that only one other may import, that one. The packages below it may, and the promise
// tests may import any.
var onlyImporter = map[string]string{"app": "cli", "httpapi": "app"}

func TestPackagesImportOnlyWhatTheTableAllows(t *testing.T) {
	t.Parallel()
	for _, pkg := range listPackages(t) {
		name, internal := strings.CutPrefix(pkg.ImportPath, "batchd/internal/")
		rule, listed := mayImport[name]
		if internal && !listed {
			t.Errorf("internal/%s is not in the table of imports: give it a row and a reason", name)
			continue
		}
		for _, imported := range pkg.Imports {
			of, internalToo := strings.CutPrefix(imported, "batchd/internal/")
			if !internalToo {
				continue
			}
			if !internal {
				checkOutsider(t, pkg.ImportPath, of)
				continue
			}
			if !allows(rule.imports, name, of) {
				t.Errorf("internal/%s imports internal/%s: %s (it may import: %s)", name, of, rule.because, rule.imports)
			}
		}
	}
}

// checkOutsider judges an import of an internal package from outside internal/.
func checkOutsider(t *testing.T, importer, of string) {
	t.Helper()
	if strings.HasPrefix(importer, "batchd/cmd/") && of != "cli" {
		t.Errorf("%s imports internal/%s: a command hands its arguments to cli and exits with its code", importer, of)
	}
	if strings.HasPrefix(importer, "batchd/scripts/") {
		t.Errorf("%s imports internal/%s: a tool of the build must run when the tree does not compile", importer, of)
	}
}

// allows reports whether a row permits package name to import package of.
func allows(imports, name, of string) bool {
	if of == "failpoint" {
		return true
	}
	if only, restricted := onlyImporter[of]; restricted && name != only && name != "promise" && !strings.HasPrefix(name, of+"/") {
		return false
	}
	if imports == anything {
		return of != "cli" && of != "promise" && of != "archtest"
	}
	return slices.Contains(strings.Fields(imports), of)
}

func TestTableOfImportsIsReadAsItIsMeant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, of string
		want     bool
	}{
		{"batch", "failpoint", true},
		{"batch", "store", false},
		{"unit", "journal", true},
		{"unit", "store/sqlite", false},
		{"app", "store/sqlite", true},
		{"app", "cli", false},
		{"cli", "app", true},
		{"sweep", "httpapi", false},
		{"httpapi/files", "httpapi", true},
		{"httpapi/files", "httpapi/batches", false},
		{"promise", "app", true},
	} {
		if got := allows(mayImport[c.name].imports, c.name, c.of); got != c.want {
			t.Errorf("%s importing %s: got %v, want %v", c.name, c.of, got, c.want)
		}
	}
}

// listed is the part of `go list -json` that the rule needs. Imports leaves out those of test files.
type listed struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	command := exec.Command("go", "list", "-e", "-tags", "failpoint", "-json=ImportPath,Imports", "./...")
	command.Dir = root
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var pkg listed
		err := decoder.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("decode the output of go list: %v", err)
		}
		packages = append(packages, pkg)
	}
}
