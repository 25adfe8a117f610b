package istio

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"istio.io/istio/manifests"
	"istio.io/istio/pkg/kube/inject"
)

// injected is a Deployment's pod as Istio's own injection fills it in.
func injected(t *testing.T, template, deployment string) corev1.PodSpec {
	t.Helper()
	chart := func(file string) string {
		text, err := manifests.FS.ReadFile("charts/istio-control/istio-discovery/" + file)
		must(t, err)
		return string(text)
	}
	var values struct {
		Defaults map[string]any `json:"_internal_defaults_do_not_set"`
	}
	must(t, yaml.Unmarshal([]byte(chart("values.yaml")), &values))
	global, err := yaml.Marshal(map[string]any{"global": values.Defaults["global"]})
	must(t, err)
	settings, err := inject.NewValuesConfig(string(global))
	must(t, err)
	file := strings.TrimPrefix(template+"-injection-template.yaml", "sidecar-")
	templates, err := inject.ParseTemplates(inject.RawTemplates{template: chart("files/" + file)})
	must(t, err)
	var asked appsv1.Deployment
	must(t, yaml.UnmarshalStrict([]byte(deployment), &asked))
	made, err := inject.IntoObject(nil, templates, settings, "default", shippedMesh(t).mesh, &asked, func(warning string) { t.Error(warning) })
	must(t, err)
	return made.(*appsv1.Deployment).Spec.Template.Spec
}

// The filter reads its secret from the proxy's environment, and Envoy its tags from a file: both have to get there.
func TestRenderedByInjectionTheProxyHasTheSecretAndTheTags(t *testing.T) {
	for template, folder := range map[string]string{"gateway": shippedManifests + "/gateway", "sidecar": "testdata/deployments"} {
		pod := injected(t, template, of(t, "Deployment", build(t, folder)))
		var proxy corev1.Container
		for _, container := range append(pod.InitContainers, pod.Containers...) {
			if container.Name == "istio-proxy" {
				proxy = container
			}
		}
		environment := map[string]corev1.EnvVar{}
		for _, variable := range proxy.Env {
			environment[variable.Name] = variable
		}
		if secret := environment["RS_SECRET"].ValueFrom; secret == nil || secret.SecretKeyRef == nil || secret.SecretKeyRef.Name != "holdfast" {
			t.Errorf("%s: RS_SECRET is %v", template, environment["RS_SECRET"])
		}
		if file := environment["ISTIO_BOOTSTRAP_OVERRIDE"].Value; file != "/etc/istio/custom-bootstrap/custom_bootstrap.json" {
			t.Errorf("%s: the bootstrap is in %q", template, file)
		}
		var mounted string
		for _, volume := range pod.Volumes {
			if volume.Name == "custom-bootstrap-volume" {
				mounted = volume.ConfigMap.Name
			}
		}
		if mounted != "holdfast-statistics" {
			t.Errorf("%s: the bootstrap is of %q", template, mounted)
		}
	}
}
