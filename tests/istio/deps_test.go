package istio

import (
	_ "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	_ "github.com/google/go-containerregistry/pkg/registry"
	_ "github.com/google/go-containerregistry/pkg/v1/layout"
	_ "github.com/google/go-containerregistry/pkg/v1/mutate"
	_ "github.com/google/go-containerregistry/pkg/v1/remote"
	_ "google.golang.org/grpc"
	_ "istio.io/istio/manifests"
	_ "istio.io/istio/pilot/test/xds"
	_ "istio.io/istio/pkg/config/crd"
	_ "istio.io/istio/pkg/config/schema/collections"
	_ "istio.io/istio/pkg/test"
	_ "istio.io/istio/pkg/test/util/yml"
	_ "istio.io/istio/pkg/util/protomarshal"
	_ "istio.io/istio/pkg/wasm"
	_ "sigs.k8s.io/kustomize/api/krusty"
	_ "sigs.k8s.io/kustomize/kyaml/filesys"
	_ "sigs.k8s.io/yaml"
)
