package istio

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/test/util/yml"
	"sigs.k8s.io/yaml"
)

// mistake is one line of testdata/mistakes.yaml.
type mistake struct {
	Mistake string `json:"mistake"`
	Folder  string `json:"folder"`
	File    string `json:"file"`
	Replace string `json:"replace"`
	With    string `json:"with"`
	By      string `json:"by"`
	Says    any    `json:"says"`
}

func mistakes(t *testing.T) []mistake {
	t.Helper()
	var table []mistake
	must(t, yaml.UnmarshalStrict([]byte(read(t, "testdata/mistakes.yaml")), &table))
	return table
}

// made is a copy of what is shipped, with the mistake in it.
func (m mistake) made(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	must(t, os.CopyFS(folder, os.DirFS(shippedManifests)))
	file := filepath.Join(folder, m.File)
	text := read(t, file)
	if strings.Count(text, m.Replace) != 1 {
		t.Fatalf("%s has %d times %q", m.File, strings.Count(text, m.Replace), m.Replace)
	}
	must(t, os.WriteFile(file, []byte(strings.Replace(text, m.Replace, m.With, 1)), 0o600))
	return folder
}

// installation is Istio's own, with the mistake if it is in that.
func (m mistake) installation(t *testing.T, shipped string) (installation, *refusal) {
	t.Helper()
	by, err := meshIn(shipped)
	return by, refusedBy(byIstioctl, err)
}

// judged is who refuses a folder before a proxy sees it.
func (m mistake) judged(t *testing.T, shipped string) (string, *refusal) {
	t.Helper()
	for _, document := range yml.SplitString(read(t, filepath.Join(shipped, m.File))) {
		if m.File == "mesh-config.yaml" {
			continue // values, and no document of a cluster
		}
		if refused := judge(document); refused != nil && refused.by == byYAML {
			return "", refused
		}
	}
	manifests, err := built(filepath.Join(shipped, m.Folder))
	if err != nil {
		return "", refusedBy(byKustomize, err)
	}
	for _, document := range yml.SplitString(manifests) {
		if refused := judge(document); refused != nil && refused.by != byWarning {
			return "", refused
		}
	}
	return manifests, nil
}

func TestMistakesAreRefusedOrFoundInWhatIsRendered(t *testing.T) {
	for _, m := range mistakes(t) {
		if m.By == byFilter {
			continue // the filter's own loader reads the same table
		}
		t.Run(m.Mistake, func(t *testing.T) {
			shipped := m.made(t)
			manifests, refused := m.judged(t, shipped)
			by, unfit := m.installation(t, shipped)
			if unfit != nil {
				refused = unfit
			}
			switch {
			case m.By == byRendered && refused != nil:
				t.Errorf("%s refuses it: %s", refused.by, refused.says)
			case m.By == byRendered:
				if found := m.found(t, by, manifests); !slices.Equal(found, sentences(m.Says)) {
					t.Errorf("what is rendered has %q", found)
				}
			case refused == nil:
				t.Errorf("nobody refuses it")
			case refused.by != m.By || !strings.Contains(refused.says, m.Says.(string)):
				t.Errorf("%s refuses it: %s", refused.by, refused.says)
			}
		})
	}
}

func (m mistake) found(t *testing.T, by installation, manifests string) []string {
	t.Helper()
	made := render(t, controlBy(t, by, manifests), proxyOf[m.Folder])
	if m.Folder == "only-through-the-gateway" {
		return made.reached()
	}
	return made.findings()
}

// proxyOf is the proxy that a folder means.
var proxyOf = map[string]model.Proxy{
	"gateway": aGateway, "workloads": aSidecar, "behind-the-gateway": aSidecar, "only-through-the-gateway": aSidecar,
}

func sentences(says any) []string {
	var found []string
	for _, sentence := range says.([]any) {
		found = append(found, sentence.(string))
	}
	return found
}

func TestMistakesAreMany(t *testing.T) {
	count := map[string]int{}
	for _, m := range mistakes(t) {
		count[m.By]++
	}
	t.Logf("%v", count)
	if len(mistakes(t)) < 60 {
		t.Errorf("%d mistakes", len(mistakes(t)))
	}
}
