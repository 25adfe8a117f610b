package istio

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"istio.io/istio/pkg/test/util/yml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// shippedManifests is the folder that operators apply.
const shippedManifests = "../../istio"

// built is what `kubectl apply -k` sends of a kustomization, joined as YAML.
func built(folder string) (string, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return "", err
	}
	text, err := resources.AsYaml()
	return string(text), err
}

// build is the same of those that have to be good.
func build(t *testing.T, folder string) string {
	t.Helper()
	text, err := built(folder)
	must(t, err)
	return text
}

// kustomizations are the folders under this one that can be applied.
func kustomizations(t *testing.T, folder string) []string {
	t.Helper()
	var found []string
	for _, file := range files(t, folder) {
		if filepath.Base(file) == "kustomization.yaml" && !strings.Contains(read(t, file), "kind: Component") {
			found = append(found, filepath.Dir(file))
		}
	}
	return found
}

func files(t *testing.T, folder string) []string {
	t.Helper()
	var found []string
	must(t, filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, path)
		}
		return err
	}))
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	return string(text)
}

// folders that are applied, so that none is forgotten below.
var applied = []string{
	"authorization-server", "behind-the-gateway", "behind-the-gateway-wasmplugin", "client-certificate", "gateway",
	"gateway-wasmplugin", "mesh", "mesh-wasmplugin", "no-session-resumption", "only-through-the-gateway", "workloads",
	"workloads-wasmplugin",
}

// everyEnvoyFilter is warned of by these words.
const everyEnvoyFilter = "EnvoyFilter exposes internal implementation details that may change at any time."

func TestManifestsAreAcceptedByTheAPIServerAndByIstio(t *testing.T) {
	var names []string
	for _, folder := range append(kustomizations(t, shippedManifests), kustomizations(t, "testdata")...) {
		names = append(names, strings.TrimPrefix(folder, shippedManifests+"/"))
		for _, document := range yml.SplitString(build(t, folder)) {
			refused := judge(document)
			if refused != nil && !strings.HasPrefix(refused.says, everyEnvoyFilter) {
				t.Errorf("%s: %s: %s\n%s", folder, refused.by, refused.says, document)
			}
		}
	}
	want := append(slices.Clone(applied), "testdata/deployments", "testdata/introspection", "testdata/introspection-wasmplugin")
	if !slices.Equal(names, want) {
		t.Errorf("the folders that can be applied are %q", names)
	}
}

// A file that no kustomization names would be shipped and judged by nobody.
func TestManifestsAreAllPartOfAKustomization(t *testing.T) {
	for _, file := range files(t, shippedManifests) {
		name := filepath.Base(file)
		if name == "kustomization.yaml" || file == shippedManifests+"/mesh-config.yaml" {
			continue
		}
		if !strings.Contains(read(t, filepath.Join(filepath.Dir(file), "kustomization.yaml")), name) {
			t.Errorf("%s is in no kustomization", file)
		}
	}
}

// The tags stand on a page for those who run Envoy alone, and in a bootstrap for Istio.
func TestManifestsTagStatisticsAsThePageSays(t *testing.T) {
	page := read(t, "../../docs/observation.md")
	shipped := read(t, shippedManifests+"/components/statistics/bootstrap.yaml")
	expressions := 0
	for line := range strings.Lines(page) {
		if _, expression, is := strings.Cut(line, "regex: "); is {
			expressions++
			if !strings.Contains(shipped, strings.TrimSpace(expression)) {
				t.Errorf("%s is not in the bootstrap", expression)
			}
		}
	}
	if expressions != 6 || strings.Count(shipped, `"regex": `) != 6 {
		t.Errorf("%d expressions on the page, six were wanted in both", expressions)
	}
}
