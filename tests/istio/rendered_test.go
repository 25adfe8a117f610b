package istio

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	filelog "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"istio.io/istio/pilot/pkg/model"
)

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
	gateway := render(t, istiod, aGateway)
	if names := gateway.names(); !slices.Equal(names, []string{"extensions.istio.io/trafficextension/istio-ingress.holdfast"}) {
		t.Errorf("the gateway has %q", names)
	}
	if findings := gateway.findings(); len(findings) != 0 {
		t.Errorf("what is for sidecars does to the gateway: %q", findings)
	}
}

// A port whose Service tells no protocol is served as TCP, by whatever name an operator lists it, and then nobody gets there.
func TestRenderedByIstiodAPortThatTellsNoProtocolIsClosed(t *testing.T) {
	manifests := strings.ReplaceAll(build(t, shippedManifests+"/workloads"), `- "8080"`, "- \"8080\"\n        - \"8082\"")
	found := render(t, control(t, manifests), aSidecar)
	if findings := found.findings(); len(findings) != 0 || len(found.inbound(8082)) != 2 {
		t.Errorf("%d chains: %q", len(found.inbound(8082)), findings)
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
		for _, http := range served(t, of).guarded() {
			options := http.CommonHttpProtocolOptions
			got := []any{
				http.StreamIdleTimeout.AsDuration().String(), http.RequestHeadersTimeout.AsDuration().String(),
				options.IdleTimeout.AsDuration().String(), options.MaxConnectionDuration.AsDuration().String(),
				http.MergeSlashes, http.PathWithEscapedSlashesAction.String(), options.HeadersWithUnderscoresAction.String(),
			}
			if want := []any{"30s", "5s", "5m0s", "1h0m0s", false, "KEEP_UNCHANGED", "REJECT_REQUEST"}; !slices.Equal(got, want) {
				t.Errorf("%s: %v", of.ID, got)
			}
		}
	}
}

func TestRenderedByIstiodTheAccessLogTellsWhoAndWhy(t *testing.T) {
	for _, of := range []model.Proxy{aGateway, aSidecar} {
		for _, http := range served(t, of).guarded() {
			if len(http.AccessLog) != 1 {
				t.Fatalf("%s: %d access logs", of.ID, len(http.AccessLog))
			}
			log := unpacked(http.AccessLog[0].GetTypedConfig()).(*filelog.FileAccessLog)
			fields := log.GetLogFormat().GetJsonFormat().AsMap()
			for name, wanted := range map[string]string{
				"client_id": "%FILTER_STATE(wasm.holdfast.client_id:PLAIN)%", "decision": "%FILTER_STATE(wasm.holdfast.decision:PLAIN)%",
				"reason": "%FILTER_STATE(wasm.holdfast.reason:PLAIN)%", "certificate_uri": "%DOWNSTREAM_PEER_URI_SAN%",
			} {
				if fields[name] != wanted {
					t.Errorf("%s: %s is %v", of.ID, name, fields[name])
				}
			}
		}
	}
}

// Sessions are resumed nowhere where the operator asks for that, and what has no TLS stays as it was, or Envoy refuses it all.
func TestRenderedByIstiodNoSessionIsResumed(t *testing.T) {
	for _, of := range []model.Proxy{aGateway, aSidecar} {
		resuming, not := served(t, of).resumption(t)
		if resuming == 0 || not != 0 {
			t.Errorf("%s: not asked for: %d chains resume, %d do not", of.ID, resuming, not)
		}
		resuming, not = served(t, of, "no-session-resumption").resumption(t)
		if resuming != 0 || not == 0 {
			t.Errorf("%s: asked for: %d chains resume, %d do not", of.ID, resuming, not)
		}
	}
}

// resumption counts the chains that resume sessions, and those that do not.
func (r rendered) resumption(t *testing.T) (resuming, not int) {
	t.Helper()
	for _, chain := range r.ways() {
		if goesNowhere(chain) {
			if chain.TransportSocket != nil {
				t.Errorf("%s: TLS where there was none", chain.Name)
			}
			continue
		}
		tls := unpacked(chain.TransportSocket.GetTypedConfig()).(*tlsv3.DownstreamTlsContext)
		if tls.DisableStatefulSessionResumption && tls.GetDisableStatelessSessionResumption() {
			not++
		} else {
			resuming++
		}
	}
	return resuming, not
}

// served is what a proxy gets of the folder that is meant for it, and of others.
func served(t *testing.T, of model.Proxy, others ...string) rendered {
	t.Helper()
	own := map[model.NodeType]string{model.Router: "gateway", model.SidecarProxy: "workloads"}[of.Type]
	var manifests []string
	for _, folder := range append(others, own) {
		manifests = append(manifests, build(t, shippedManifests+"/"+folder))
	}
	found := render(t, control(t, strings.Join(manifests, "\n---\n")), of)
	if len(found.guarded()) == 0 {
		t.Fatalf("%s: nothing is guarded", of.ID)
	}
	return found
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
