package archtest

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// decodeStrictly reads a YAML file of .github into a value, and fails for a key that the value has no place for.
func decodeStrictly(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".github", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalWithOptions(text, into, yaml.Strict()); err != nil {
		t.Fatalf(".github/%s: %v", name, err)
	}
}

// workflow is what the rules need of a workflow; actionlint judges the rest (make lint).
type workflow struct {
	On          any               `yaml:"on"`
	Name        string            `yaml:"name"`
	Permissions map[string]string `yaml:"permissions"`
	Concurrency any               `yaml:"concurrency"`
	Jobs        map[string]struct {
		RunsOn          string `yaml:"runs-on"`
		TimeoutMinutes  int    `yaml:"timeout-minutes"`
		ContinueOnError bool   `yaml:"continue-on-error"`
		Steps           []struct {
			Name  string         `yaml:"name"`
			Uses  string         `yaml:"uses"`
			With  map[string]any `yaml:"with"`
			Shell string         `yaml:"shell"`
			Run   string         `yaml:"run"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

func TestTheForgeOnlyCallsWhatAnyoneCanRun(t *testing.T) {
	t.Parallel()
	var w workflow
	decodeStrictly(t, "workflows/ci.yml", &w)
	if !maps.Equal(w.Permissions, map[string]string{"contents": "read"}) {
		t.Errorf("the workflow has permissions %v, want to read the contents and no more", w.Permissions)
	}
	var blocking []string
	for name, job := range w.Jobs {
		if !job.ContinueOnError {
			blocking = append(blocking, name)
		}
		if job.TimeoutMinutes == 0 {
			t.Errorf("job %s may run for hours: give it a timeout", name)
		}
		last := job.Steps[len(job.Steps)-1]
		if !strings.HasPrefix(last.Run, ".ci/run") {
			t.Errorf("job %s ends in %q, want .ci/run: what stops a change must be what anybody can run", name, last.Run)
		}
		for _, step := range job.Steps {
			if step.Uses != "" && !strings.HasPrefix(step.Uses, "actions/") {
				t.Errorf("job %s uses %s, want the forge's own actions alone", name, step.Uses)
			}
		}
	}
	if !slices.Equal(blocking, []string{"check"}) {
		t.Errorf("the jobs that stop a change are %v, want check alone", blocking)
	}
	for _, step := range w.Jobs["check"].Steps {
		if step.Run != "" && step.Run != ".ci/run" {
			t.Errorf("job check runs %q, want .ci/run alone", step.Run)
		}
	}
}

// manifests names, for each kind of package, the files that dependencies of that kind are pinned in.
var manifests = map[string][]string{
	"gomod": {"go.mod"}, "npm": {"package.json"}, "pip": {"requirements.txt"}, "github-actions": {".github/workflows/ci.yml"},
}

func TestDependenciesOfEveryKindAreKeptUp(t *testing.T) {
	t.Parallel()
	var config struct {
		Version int `yaml:"version"`
		Updates []struct {
			Ecosystem   string         `yaml:"package-ecosystem"`
			Directory   string         `yaml:"directory"`
			Directories []string       `yaml:"directories"`
			Schedule    map[string]any `yaml:"schedule"`
			Ignore      any            `yaml:"ignore"`
			Groups      any            `yaml:"groups"`
		} `yaml:"updates"`
	}
	decodeStrictly(t, "dependabot.yml", &config)
	covered := map[string]bool{}
	for _, update := range config.Updates {
		directories := update.Directories
		if update.Directory != "" {
			directories = append(directories, update.Directory)
		}
		for _, directory := range directories {
			for _, name := range manifests[update.Ecosystem] {
				file := path.Join(strings.TrimPrefix(directory, "/"), name)
				covered[file] = true
				if _, err := os.Stat(filepath.Join(root, file)); err != nil {
					t.Errorf("dependabot.yml: %s is not in %s", name, directory)
				}
			}
		}
	}
	for _, file := range []string{
		"go.mod", "test/sdk/node/package.json", "testdata/tiny-model/package.json", "test/sdk/python/requirements.txt", ".github/workflows/ci.yml",
	} {
		if !covered[file] {
			t.Errorf("dependabot.yml does not look at %s", file)
		}
	}
}

func TestFormsForIssuesAreWhole(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bug", "feature", "upstream"} {
		var form struct {
			Name        string   `yaml:"name"`
			Description string   `yaml:"description"`
			Labels      []string `yaml:"labels"`
			Body        []struct {
				Type       string `yaml:"type"`
				ID         string `yaml:"id"`
				Attributes struct {
					Label       string              `yaml:"label"`
					Description string              `yaml:"description"`
					Value       string              `yaml:"value"`
					Render      string              `yaml:"render"`
					Options     []map[string]string `yaml:"options"`
				} `yaml:"attributes"`
				Validations map[string]bool `yaml:"validations"`
			} `yaml:"body"`
		}
		decodeStrictly(t, "ISSUE_TEMPLATE/"+name+".yml", &form)
		if form.Name == "" || form.Description == "" || len(form.Body) == 0 {
			t.Errorf("form %s has no name, description or body", name)
		}
		ids := map[string]bool{}
		for _, part := range form.Body {
			switch part.Type {
			case "markdown":
				if part.Attributes.Value == "" {
					t.Errorf("form %s has a text without a value", name)
				}
			case "input", "textarea", "checkboxes":
				if part.ID == "" || ids[part.ID] || part.Attributes.Label == "" {
					t.Errorf("form %s: field %q has no id or label of its own", name, part.ID)
				}
				ids[part.ID] = true
			default:
				t.Errorf("form %s has a part of unknown type %q", name, part.Type)
			}
		}
	}
}
