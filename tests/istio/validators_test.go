package istio

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"istio.io/istio/manifests"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/crd"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
)

// refusal is who does not take a manifest, and why.
type refusal struct{ by, says string }

// Who refuses, in the order in which a manifest meets them.
const (
	byYAML      = "yaml"
	byKustomize = "kustomize"
	byAPIServer = "api server"
	byIstioctl  = "istioctl"
	byRendered  = "rendered"
	byFilter    = "filter"
	byWarning   = "warning" // nobody refuses, and istioctl has something to say
)

// judge is nil for a document that `kubectl apply` and `istioctl validate` take. istioctl alone takes any kind and any name.
func judge(document string) *refusal {
	asJSON, err := yaml.YAMLToJSONStrict([]byte(document))
	if err != nil {
		return refusedBy(byYAML, err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(asJSON); err != nil { // keeps integers, which the CEL rules need
		return refusedBy(byAPIServer, err)
	}
	if problems := validation.IsDNS1123Subdomain(object.GetName()); len(problems) > 0 {
		return &refusal{byAPIServer, "metadata.name: " + problems[0]}
	}
	if scheme.Scheme.Recognizes(object.GroupVersionKind()) {
		return judgeKubernetes(object, asJSON)
	}
	kind := config.FromKubernetesGVK(object.GroupVersionKind())
	schema, known := collections.Pilot.FindByGroupVersionAliasesKind(kind)
	if !known {
		return &refusal{byAPIServer, fmt.Sprintf("no matches for kind %s in version %s", kind.Kind, object.GetAPIVersion())}
	}
	if err := schemas().ValidateCustomResource(object.DeepCopy()); err != nil {
		return refusedBy(byAPIServer, err)
	}
	return judgeIstio(object, schema)
}

// judgeKubernetes refuses fields that Kubernetes' own kinds do not have.
func judgeKubernetes(object *unstructured.Unstructured, asJSON []byte) *refusal {
	typed, err := scheme.Scheme.New(object.GroupVersionKind())
	if err != nil {
		return refusedBy(byAPIServer, err)
	}
	if err := yaml.UnmarshalStrict(asJSON, typed); err != nil {
		return refusedBy(byAPIServer, err)
	}
	return nil
}

// judgeIstio asks the code behind `istioctl validate` and istiod's webhook.
func judgeIstio(object *unstructured.Unstructured, schema resource.Schema) *refusal {
	spec, err := schema.NewInstance()
	if err != nil {
		return refusedBy(byIstioctl, err)
	}
	asJSON, err := json.Marshal(object.Object["spec"])
	if err != nil {
		return refusedBy(byIstioctl, err)
	}
	if err := config.ApplyJSONStrict(spec, string(asJSON)); err != nil {
		return refusedBy(byIstioctl, err)
	}
	meta := config.Meta{GroupVersionKind: schema.GroupVersionKind(), Name: object.GetName(), Namespace: object.GetNamespace()}
	warned, err := schema.ValidateConfig(config.Config{Meta: meta, Spec: spec})
	if err == nil {
		return refusedBy(byWarning, warned)
	}
	return refusedBy(byIstioctl, err)
}

func refusedBy(who string, err error) *refusal {
	if err == nil {
		return nil
	}
	return &refusal{who, strings.Join(strings.Fields(err.Error()), " ")}
}

// schemas are those that Istio installs, with their CEL rules.
var schemas = sync.OnceValue(func() *crd.Validator {
	definitions, err := manifests.FS.ReadFile("charts/base/files/crd-all.gen.yaml")
	if err != nil {
		panic(err)
	}
	file, err := os.CreateTemp("", "crds-*.yaml")
	if err != nil {
		panic(err)
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(definitions); err != nil {
		panic(err)
	}
	validator, err := crd.NewValidatorFromFilesWithOptions([]string{file.Name()}, crd.WithoutCRDValidation())
	if err != nil {
		panic(err)
	}
	return validator
})
