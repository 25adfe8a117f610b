package istio

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"istio.io/istio/pkg/test/util/yml"
	"sigs.k8s.io/yaml"
)

// bootstrapOverride is what the annotation of the gateway's Deployment has injection mount.
func bootstrapOverride(t *testing.T, manifests string) string {
	t.Helper()
	var statistics struct {
		Data map[string]string `json:"data"`
	}
	must(t, yaml.Unmarshal([]byte(of(t, "ConfigMap", manifests)), &statistics))
	return statistics.Data["custom_bootstrap.json"]
}

// shipped is a folder of istio/ as `kubectl apply -k` sends it. The image is the one thing changed: by digest, from our registry.
func (w *world) shipped(t *testing.T, folder string) string {
	t.Helper()
	return w.rendered(t, shippedManifests+"/"+folder)
}

func (w *world) rendered(t *testing.T, folder string) string {
	t.Helper()
	const written = "oci://registry.example/holdfast:0.1"
	manifests := build(t, folder)
	if strings.Contains(manifests, "oci://") != strings.Contains(manifests, written) {
		t.Fatalf("%s: the image is not %s", folder, written)
	}
	return strings.ReplaceAll(manifests, written, w.image)
}

// of is those documents that are of a kind.
func of(t *testing.T, kind, manifests string) string {
	t.Helper()
	var wanted []string
	for _, document := range yml.SplitString(manifests) {
		if strings.Contains("\n"+document, "\nkind: "+kind+"\n") {
			wanted = append(wanted, document)
		}
	}
	if len(wanted) == 0 {
		t.Fatalf("no %s in what was rendered", kind)
	}
	return strings.Join(wanted, "\n---\n")
}

// once leaves out what several folders bring alike.
func once(manifests string) string {
	seen := map[string]bool{}
	var all []string
	for _, document := range yml.SplitString(manifests) {
		if document = strings.TrimSpace(document); !seen[document] {
			seen[document] = true
			all = append(all, document)
		}
	}
	return strings.Join(all, "\n---\n")
}

// secrets are those that istio/gateway/kustomization.yaml has an operator make.
func (w *world) secrets(t *testing.T) string {
	t.Helper()
	server := w.serverCA.host(t, "api.bank.example")
	encoded := func(octets []byte) string { return base64.StdEncoding.EncodeToString(octets) }
	text := func(octets []byte) string {
		quoted, err := json.Marshal(string(octets))
		must(t, err)
		return string(quoted)
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: api-bank-example, namespace: istio-ingress}
data: {tls.crt: %s, tls.key: %s, ca.crt: %s}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: login-ca, namespace: istio-system}
data: {ca.crt: %s}
`, encoded(server.pem()), encoded(server.keyPEM(t)), encoded(w.clientCA.pem()), text(w.serverCA.pem()))
}
