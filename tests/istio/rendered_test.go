package istio

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	filelog "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	httpwasm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	manager "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
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

// shippedMesh is the mesh's own configuration, as istio/mesh-config.yaml has it.
func shippedMesh(t *testing.T) *meshconfig.MeshConfig {
	t.Helper()
	settings, err := meshIn(shippedManifests)
	must(t, err)
	return settings
}

// meshIn is the mesh's own configuration in a folder, if Istio takes it.
func meshIn(folder string) (*meshconfig.MeshConfig, error) {
	text, err := os.ReadFile(folder + "/mesh-config.yaml")
	if err != nil {
		return nil, err
	}
	var values struct {
		MeshConfig map[string]any `json:"meshConfig"`
	}
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		return nil, err
	}
	if text, err = yaml.Marshal(values.MeshConfig); err != nil {
		return nil, err
	}
	settings, err := mesh.ApplyMeshConfig(string(text), mesh.DefaultMeshConfig())
	if err != nil {
		return nil, err
	}
	_, err = meshvalidation.ValidateMeshConfig(settings)
	return settings, err
}

// control starts istiod's own code with manifests and the mesh around them.
func control(t *testing.T, manifests string) *xds.FakeDiscoveryServer {
	t.Helper()
	return controlBy(t, shippedMesh(t), manifests)
}

func controlBy(t *testing.T, settings *meshconfig.MeshConfig, manifests string) *xds.FakeDiscoveryServer {
	t.Helper()
	quiet()
	test.SetForTest(t, &features.EnableAmbient, true)
	all := read(t, "testdata/mesh.yaml") + "\n---\n" + manifests
	return xds.NewFakeDiscoveryServer(t, xds.FakeOptions{ConfigString: all, KubernetesObjectString: all, MeshConfig: settings})
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

// Each folder, the proxies that it means, and how many filters each has in the chains where requests come in.
var enforcing = []struct {
	folder string
	of     model.Proxy
}{
	{"gateway", aGateway},
	{"gateway-wasmplugin", aGateway},
	{"workloads", aSidecar},
	{"workloads-wasmplugin", aSidecar},
	{"mesh", aSidecar},
	{"mesh-wasmplugin", aSidecar},
	{"behind-the-gateway", aSidecar},
	{"behind-the-gateway-wasmplugin", aSidecar},
	{"../tests/istio/testdata/introspection", aSidecar},
	{"../tests/istio/testdata/introspection-wasmplugin", aSidecar},
}

func TestRenderedByIstiodEveryWayInIsGuarded(t *testing.T) {
	for _, row := range enforcing {
		t.Run(row.folder, func(t *testing.T) {
			found := render(t, control(t, build(t, shippedManifests+"/"+row.folder)), row.of)
			for _, finding := range found.findings() {
				t.Error(finding)
			}
			if len(found.extensions) != 1 {
				t.Errorf("%d extensions, one was wanted", len(found.extensions))
			}
		})
	}
}

func TestRenderedByIstiodThePolicyIsWhatWasWritten(t *testing.T) {
	for _, row := range enforcing {
		t.Run(row.folder, func(t *testing.T) {
			manifests := build(t, shippedManifests+"/"+row.folder)
			found := render(t, control(t, manifests), row.of)
			for name, policy := range policies(t, manifests) {
				wanted, err := json.Marshal(policy)
				must(t, err)
				if sent := written(found.extensions[name]); !sameJSON(t, sent, string(wanted)) {
					t.Errorf("%s: the proxy gets\n%s\nof\n%s", name, sent, wanted)
				}
			}
		})
	}
}

func sameJSON(t *testing.T, one, other string) bool {
	t.Helper()
	canonical := func(text string) string {
		var value any
		must(t, json.Unmarshal([]byte(text), &value))
		sorted, err := json.Marshal(value)
		must(t, err)
		return string(sorted)
	}
	return one != "" && canonical(one) == canonical(other)
}

// Only the gateway enforces: no filter at the workload, and nobody but the gateway reaches it, on any port.
func TestRenderedByIstiodOnlyTheGatewayReachesTheWorkload(t *testing.T) {
	found := render(t, control(t, build(t, shippedManifests+"/only-through-the-gateway")), aSidecar)
	if ways := found.reached(); len(ways) != 0 || len(found.inbound(8080)) == 0 || len(found.inbound(9999)) == 0 {
		t.Errorf("%q", ways)
	}
	if findings := found.findings(); !slices.Equal(findings, []string{"virtualInbound: serves requests without the filter"}) {
		t.Errorf("%q", findings)
	}
}

// What Istio does to a document. None of it matters to the filter's language (tests/configuration/istio.rs).
func TestRenderedByIstiodKeysAreSortedAndNumbersAreDoubles(t *testing.T) {
	manifests := build(t, shippedManifests+"/workloads")
	begin, end := strings.Index(manifests, "    pluginConfig:\n"), strings.Index(manifests, "    pluginName:")
	manifests = manifests[:begin] + "    pluginConfig: {z: 1, on: 2, b: 12345678901234567, a: 1.5, y: yes}\n" + manifests[end:]
	for _, plugin := range render(t, control(t, manifests), aSidecar).extensions {
		if sent := written(plugin); !sameText(sent, `{"a":1.5,"b":12345678901234568,"true":true,"z":1}`) {
			t.Errorf("the proxy gets %s", sent)
		}
	}
}

// protojson puts blanks where it likes, on purpose.
func sameText(one, other string) bool {
	blank := strings.NewReplacer(" ", "")
	return blank.Replace(one) == blank.Replace(other)
}

// A resource in the root namespace reaches every sidecar, and no gateway.
func TestRenderedByIstiodTheWholeMeshHasTheFilterAndNoGatewayHas(t *testing.T) {
	istiod := control(t, build(t, shippedManifests+"/gateway")+"\n---\n"+build(t, shippedManifests+"/mesh"))
	if names := render(t, istiod, aSidecar).names(); !slices.Equal(names, []string{"extensions.istio.io/trafficextension/istio-system.holdfast"}) {
		t.Errorf("a sidecar has %q", names)
	}
	if names := render(t, istiod, aGateway).names(); !slices.Equal(names, []string{"extensions.istio.io/trafficextension/istio-ingress.holdfast"}) {
		t.Errorf("the gateway has %q", names)
	}
}

// Waypoints know no client's certificate: nothing that is shipped is there, and what is aimed at one is found.
func TestRenderedByIstiodNothingIsAtAWaypoint(t *testing.T) {
	waypoint := read(t, "testdata/waypoint.yaml") + "\n---\n"
	everything := waypoint + build(t, shippedManifests+"/mesh") + "\n---\n" + build(t, shippedManifests+"/gateway")
	if found := render(t, control(t, everything), aWaypoint); len(found.names()) != 0 || len(found.listeners) == 0 {
		t.Errorf("%d listeners have %q", len(found.listeners), found.names())
	}
	aimed := strings.Replace(build(t, shippedManifests+"/workloads"), "  match:\n  - mode: SERVER\n",
		"  targetRefs:\n  - {group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}\n", 1)
	found := render(t, control(t, waypoint+aimed), aWaypoint).findings()
	if !slices.Equal(found, []string{"main_internal: the filter is at a waypoint, where no certificate reaches it"}) {
		t.Errorf("%q", found)
	}
}

// What istio/mesh-config.yaml says of connections is in every listener with HTTP.
func TestRenderedByIstiodNoRequestWaitsForEver(t *testing.T) {
	for _, of := range []model.Proxy{aGateway, aSidecar} {
		folder := map[model.NodeType]string{model.Router: "/gateway", model.SidecarProxy: "/workloads"}[of.Type]
		managers := 0
		for _, listener := range render(t, control(t, build(t, shippedManifests+folder)), of).listeners {
			for _, chain := range listener.FilterChains {
				http := httpManager(chain)
				if http == nil || of.Type == model.SidecarProxy && listener.Name != model.VirtualInboundListenerName {
					continue
				}
				managers++
				options := http.CommonHttpProtocolOptions
				got := []any{
					http.StreamIdleTimeout.AsDuration().String(), http.RequestHeadersTimeout.AsDuration().String(), options.IdleTimeout.AsDuration().String(),
					options.MaxConnectionDuration.AsDuration().String(), http.MergeSlashes, http.PathWithEscapedSlashesAction.String(),
					options.HeadersWithUnderscoresAction.String(),
				}
				want := []any{"30s", "5s", "5m0s", "1h0m0s", false, "KEEP_UNCHANGED", "REJECT_REQUEST"}
				if !slices.Equal(got, want) {
					t.Errorf("%s: %v", listener.Name, got)
				}
			}
		}
		if managers == 0 {
			t.Errorf("%s: no listener has HTTP", of.ID)
		}
	}
}

func TestRenderedByIstiodTheAccessLogTellsWhoAndWhy(t *testing.T) {
	for _, of := range []model.Proxy{aGateway, aSidecar} {
		folder := map[model.NodeType]string{model.Router: "/gateway", model.SidecarProxy: "/workloads"}[of.Type]
		for _, listener := range render(t, control(t, build(t, shippedManifests+folder)), of).listeners {
			for _, chain := range listener.FilterChains {
				http := httpManager(chain)
				if http == nil || len(extensionNames(http)) == 0 {
					continue
				}
				if len(http.AccessLog) != 1 {
					t.Fatalf("%s: %d access logs", listener.Name, len(http.AccessLog))
				}
				log := unpacked(http.AccessLog[0].GetTypedConfig()).(*filelog.FileAccessLog)
				fields := log.GetLogFormat().GetJsonFormat().AsMap()
				for name, wanted := range map[string]string{
					"client_id": "%FILTER_STATE(wasm.holdfast.client_id:PLAIN)%", "decision": "%FILTER_STATE(wasm.holdfast.decision:PLAIN)%",
					"reason": "%FILTER_STATE(wasm.holdfast.reason:PLAIN)%", "certificate_uri": "%DOWNSTREAM_PEER_URI_SAN%",
				} {
					if fields[name] != wanted {
						t.Errorf("%s: %s is %v", listener.Name, name, fields[name])
					}
				}
			}
		}
	}
}

// Sessions are resumed nowhere where the operator asks for that, and what has no TLS stays as it was, or Envoy refuses it all.
func TestRenderedByIstiodNoSessionIsResumed(t *testing.T) {
	for _, of := range []model.Proxy{aGateway, aSidecar} {
		folder := map[model.NodeType]string{model.Router: "/gateway", model.SidecarProxy: "/workloads"}[of.Type]
		for _, asked := range []bool{false, true} {
			manifests := build(t, shippedManifests+folder)
			if asked {
				manifests += "\n---\n" + build(t, shippedManifests+"/no-session-resumption")
			}
			with, without := 0, 0
			for _, listener := range render(t, control(t, manifests), of).listeners {
				if of.Type == model.SidecarProxy && listener.Name != model.VirtualInboundListenerName {
					continue
				}
				for _, chain := range listener.FilterChains {
					if goesNowhere(chain) {
						if chain.TransportSocket != nil {
							t.Errorf("%s: TLS where there was none", chain.Name)
						}
						continue
					}
					tls := unpacked(chain.TransportSocket.GetTypedConfig()).(*tlsv3.DownstreamTlsContext)
					if tls.DisableStatefulSessionResumption && tls.GetDisableStatelessSessionResumption() {
						without++
					} else {
						with++
					}
				}
			}
			if (with == 0) != asked || (without == 0) == asked {
				t.Errorf("%s: asked for: %v, %d chains resume, %d do not", of.ID, asked, with, without)
			}
		}
	}
}

// The gateway shows the certificate of its own Secret, and no sidecar reads that.
func TestRenderedByIstiodTheGatewayShowsItsCertificate(t *testing.T) {
	manifests := build(t, shippedManifests+"/client-certificate") + "\n---\n"
	istiod := control(t, manifests+build(t, shippedManifests+"/gateway")+"\n---\n"+build(t, shippedManifests+"/workloads"))
	for _, row := range []struct {
		of        model.Proxy
		shows     []string
		authority string
	}{
		{aGateway, []string{"kubernetes://login-client"}, "kubernetes://login-client-cacert"},
		{aSidecar, nil, "configmap://istio-system/login-ca-cacert"},
	} {
		found := render(t, istiod, row.of)
		cluster := found.clusters["outbound|443||login.bank.example"]
		if findings := ofCallout("login", cluster); len(findings) != 0 {
			t.Errorf("%s: %q", row.of.ID, findings)
		}
		tls := unpacked(cluster.TransportSocket.GetTypedConfig()).(*tlsv3.UpstreamTlsContext).CommonTlsContext
		var shows []string
		for _, secret := range tls.TlsCertificateSdsSecretConfigs {
			shows = append(shows, secret.Name)
		}
		authority := tls.GetCombinedValidationContext().GetValidationContextSdsSecretConfig().GetName()
		if !slices.Equal(shows, row.shows) || authority != row.authority {
			t.Errorf("%s shows %q and trusts %s", row.of.ID, shows, authority)
		}
	}
}
