package istio

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httpwasm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	manager "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"sigs.k8s.io/yaml"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config/mesh"
	meshvalidation "istio.io/istio/pkg/config/validation/agent"
	"istio.io/istio/pkg/test"
	"istio.io/istio/pkg/test/util/yml"
)

// rendered is what istiod makes of manifests for one proxy.
type rendered struct {
	kind       model.NodeType
	listeners  []*listenerv3.Listener
	clusters   map[string]*clusterv3.Cluster
	extensions map[string]*wasmv3.PluginConfig // by the name of the filter in the listeners
	routes     []*routev3.RouteConfiguration   // of a gateway
}

// installation is what istio/mesh-config.yaml has Istio's own installation say.
type installation struct {
	mesh   *meshconfig.MeshConfig
	scoped bool // a gateway takes the Gateways of its own namespace alone
}

// The proxies of the mesh in testdata/mesh.yaml.
var (
	aGateway = model.Proxy{Type: model.Router, ID: "gateway-1.istio-ingress", ConfigNamespace: "istio-ingress", IPAddresses: []string{"10.0.0.1"},
		Labels: map[string]string{"istio": "gateway"}}
	aSidecar = model.Proxy{Type: model.SidecarProxy, ID: "orders-1.bank", ConfigNamespace: "bank", IPAddresses: []string{"10.0.0.2"},
		Labels: map[string]string{"app": "orders", "security.istio.io/tlsMode": "istio"}}
	aWaypoint = model.Proxy{Type: model.Waypoint, ID: "waypoint-1.bank", ConfigNamespace: "bank", IPAddresses: []string{"10.0.0.3"},
		Labels: map[string]string{"gateway.networking.k8s.io/gateway-name": "waypoint"}}
)

// shippedMesh is the installation that is shipped.
func shippedMesh(t *testing.T) installation {
	t.Helper()
	settings, err := meshIn(shippedManifests)
	must(t, err)
	return settings
}

// meshIn is the installation that a folder describes, if Istio takes it.
func meshIn(folder string) (installation, error) {
	var values struct {
		MeshConfig map[string]any `json:"meshConfig"`
		Env        struct {
			Scoped string `json:"PILOT_SCOPE_GATEWAY_TO_NAMESPACE"`
		} `json:"env"`
	}
	text, err := os.ReadFile(folder + "/mesh-config.yaml")
	if err == nil {
		err = yaml.UnmarshalStrict(text, &values)
	}
	if err != nil {
		return installation{}, err
	}
	settings, err := meshOf(values.MeshConfig)
	scoped, unread := strconv.ParseBool(cmp.Or(values.Env.Scoped, "false"))
	return installation{settings, scoped}, errors.Join(err, unread)
}

func meshOf(values map[string]any) (*meshconfig.MeshConfig, error) {
	text, err := yaml.Marshal(values)
	if err != nil {
		return nil, err
	}
	settings, err := mesh.ApplyMeshConfig(string(text), mesh.DefaultMeshConfig())
	if err != nil {
		return nil, err
	}
	_, err = meshvalidation.ValidateMeshConfig(settings)
	return settings, err
}

// begin has istiod's code use what it would read from its environment: here it did so when the program began.
func (i installation) begin(t *testing.T) {
	t.Helper()
	test.SetForTest(t, &features.ScopeGatewayToNamespace, i.scoped)
}

// control starts istiod's own code with manifests and the mesh around them.
func control(t *testing.T, manifests string) *xds.FakeDiscoveryServer {
	t.Helper()
	return controlBy(t, shippedMesh(t), manifests)
}

func controlBy(t *testing.T, by installation, manifests string) *xds.FakeDiscoveryServer {
	t.Helper()
	quiet()
	by.begin(t)
	test.SetForTest(t, &features.EnableAmbient, true)
	all := strings.Join([]string{read(t, "testdata/mesh.yaml"), read(t, "testdata/sandbox.yaml"), manifests}, "\n---\n")
	return xds.NewFakeDiscoveryServer(t, xds.FakeOptions{ConfigString: all, KubernetesObjectString: all, MeshConfig: by.mesh})
}

// render is what one of its proxies gets.
func render(t *testing.T, istiod *xds.FakeDiscoveryServer, of model.Proxy) rendered {
	t.Helper()
	proxy := of
	proxy.Metadata = &model.NodeMetadata{
		Namespace: of.ConfigNamespace, Labels: of.Labels, ClusterID: "Kubernetes", IstioVersion: "1.31.1", ServiceAccount: "default",
	}
	istiod.SetupProxy(&proxy)
	found := rendered{kind: of.Type, listeners: istiod.Listeners(&proxy), clusters: map[string]*clusterv3.Cluster{}, extensions: map[string]*wasmv3.PluginConfig{}}
	if of.Type == model.Router {
		found.routes = istiod.Routes(&proxy)
	}
	for _, cluster := range istiod.Clusters(&proxy) {
		found.clusters[cluster.Name] = cluster
	}
	for _, extension := range istiod.ConfigGen.BuildExtensionConfiguration(&proxy, istiod.PushContext(), found.names(), nil) {
		if wasm, is := unpacked(extension.TypedConfig).(*httpwasm.Wasm); is {
			found.extensions[extension.Name] = wasm.Config
		}
	}
	return found
}

// names are those of the extensions that the listeners want.
func (r rendered) names() []string {
	var names []string
	for _, listener := range r.listeners {
		for _, chain := range listener.FilterChains {
			if http := httpManager(chain); http != nil {
				names = append(names, extensionNames(http)...)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func extensionNames(http *manager.HttpConnectionManager) []string {
	var names []string
	for _, filter := range http.HttpFilters {
		if strings.HasPrefix(filter.Name, model.TrafficExtensionResourceNamePrefix) {
			names = append(names, filter.Name)
		}
	}
	return names
}

// httpManager is what reads HTTP in a chain, nil where nothing does.
func httpManager(chain *listenerv3.FilterChain) *manager.HttpConnectionManager {
	for _, filter := range chain.Filters {
		if http, is := unpacked(filter.GetTypedConfig()).(*manager.HttpConnectionManager); is {
			return http
		}
	}
	return nil
}

func unpacked(typed *anypb.Any) proto.Message {
	if typed == nil {
		return nil
	}
	message, err := typed.UnmarshalNew()
	if err != nil {
		return nil
	}
	return message
}

// written is the document that Istio hands to the filter.
func written(plugin *wasmv3.PluginConfig) string {
	if text, is := unpacked(plugin.Configuration).(*wrapperspb.StringValue); is {
		return text.Value
	}
	return ""
}

// policies are those that manifests ask for, by the name of the filter in the listeners.
func policies(t *testing.T, manifests string) map[string]any {
	t.Helper()
	found := map[string]any{}
	for _, document := range documents(t, manifests) {
		metadata, _ := document["metadata"].(map[string]any)
		spec, _ := document["spec"].(map[string]any)
		name := model.TrafficExtensionResourceNamePrefix + metadata["namespace"].(string) + "." + metadata["name"].(string)
		switch document["kind"] {
		case "TrafficExtension":
			found[name] = spec["wasm"].(map[string]any)["pluginConfig"]
		case "WasmPlugin":
			found[name+"~istio-translated-wasmplugin"] = spec["pluginConfig"]
		}
	}
	return found
}

func documents(t *testing.T, manifests string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for _, text := range yml.SplitString(manifests) {
		var document map[string]any
		must(t, yaml.UnmarshalStrict([]byte(text), &document))
		found = append(found, document)
	}
	return found
}

// ways are the chains by which requests come in.
func (r rendered) ways() []*listenerv3.FilterChain {
	var found []*listenerv3.FilterChain
	for _, listener := range r.listeners {
		if r.kind != model.SidecarProxy || listener.Name == model.VirtualInboundListenerName {
			found = append(found, listener.FilterChains...)
		}
	}
	return found
}

// guarded is what reads HTTP in them and has the filter.
func (r rendered) guarded() []*manager.HttpConnectionManager {
	var found []*manager.HttpConnectionManager
	for _, chain := range r.ways() {
		if http := httpManager(chain); http != nil && len(extensionNames(http)) > 0 {
			found = append(found, http)
		}
	}
	return found
}
