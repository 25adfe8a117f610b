package istio

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	manager "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxy "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"github.com/google/go-containerregistry/pkg/name"
	"google.golang.org/protobuf/types/known/anypb"

	"istio.io/istio/pilot/pkg/model"
)

// stranger is a workload of the mesh that no manifest names, at a port that none declares.
var stranger = connection{port: 9999, peer: "spiffe://cluster.local/ns/sandbox/sa/stranger"}

// behind are the filters of Istio and Envoy that have to see only what ours let through.
var behind = []string{
	"envoy.filters.http.jwt_authn", "envoy.filters.http.rbac", "envoy.filters.http.cors", "envoy.filters.http.fault",
	"envoy.filters.http.local_ratelimit", "envoy.filters.http.router",
}

// findings is every way in which a proxy would serve what the filter has not judged, or judge by what it can't know.
func (r rendered) findings() []string {
	var found []string
	for _, listener := range r.listeners {
		for _, chain := range listener.FilterChains {
			for _, finding := range r.ofChain(listener, chain) {
				found = append(found, fmt.Sprintf("%s: %s", listener.Name, finding))
			}
		}
	}
	for _, plugin := range r.extensions {
		found = append(found, r.ofPlugin(plugin)...)
	}
	found = append(found, r.ofRoutes()...)
	if r.kind != model.Waypoint && !r.servesHTTP() {
		found = append(found, "nothing is served")
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func (r rendered) servesHTTP() bool {
	return slices.ContainsFunc(r.ways(), func(chain *listenerv3.FilterChain) bool { return httpManager(chain) != nil })
}

func (r rendered) ofChain(listener *listenerv3.Listener, chain *listenerv3.FilterChain) []string {
	http := httpManager(chain)
	switch {
	case r.kind == model.Waypoint:
		return ofWaypoint(http)
	case r.kind == model.SidecarProxy && listener.Name != model.VirtualInboundListenerName:
		return ofOutbound(http)
	case goesNowhere(chain):
		return nil
	case http == nil:
		return r.ofOpaque(chain)
	default:
		return slices.Concat(r.ofTLS(chain), ofCertificateHeader(r.kind, http), ofPlace(http), ofWaiting(http), r.ofShutting(listener, chain))
	}
}

// A waypoint's filters stand behind its TLS, in another listener: no certificate reaches them.
func ofWaypoint(http *manager.HttpConnectionManager) []string {
	if http != nil && len(extensionNames(http)) > 0 {
		return []string{"the filter is at a waypoint, where no certificate reaches it"}
	}
	return nil
}

func ofOutbound(http *manager.HttpConnectionManager) []string {
	if http != nil && len(extensionNames(http)) > 0 {
		return []string{"the filter judges what the workload itself sends"}
	}
	return nil
}

func goesNowhere(chain *listenerv3.FilterChain) bool {
	for _, filter := range chain.Filters {
		if tcp, is := unpacked(filter.GetTypedConfig()).(*tcpproxy.TcpProxy); is {
			return tcp.GetCluster() == "BlackHoleCluster"
		}
	}
	return false
}

// ofOpaque judges a chain that reads no HTTP: nobody may reach a workload through it.
func (r rendered) ofOpaque(chain *listenerv3.FilterChain) []string {
	if r.kind == model.Router {
		return []string{"passes TLS on, and no filter sees what is in it"}
	}
	var found []string
	for _, port := range r.ports(chain) {
		admitted, err := connection{port, stranger.peer}.admits(authorizations(chain))
		switch {
		case err != nil:
			found = append(found, fmt.Sprintf("port %d may be open: %v", port, err))
		case admitted:
			found = append(found, fmt.Sprintf("port %d is reached without the filter", port))
		}
	}
	return found
}

// ports are those that a chain is asked about: its own, or each that its authorizations name and no other chain has, and one more.
func (r rendered) ports(chain *listenerv3.FilterChain) []uint32 {
	if declared := chain.FilterChainMatch.GetDestinationPort(); declared != nil {
		return []uint32{declared.Value}
	}
	found := []uint32{stranger.port}
	for _, filter := range authorizations(chain) {
		for _, policy := range filter.Policies {
			for _, port := range portsIn(policy.Permissions) {
				if !slices.ContainsFunc(r.ways(), declares(port)) {
					found = append(found, port)
				}
			}
		}
	}
	return found
}

// ofShutting judges Istio's authorization of a port that is meant to be served: a policy for others may shut it.
func (r rendered) ofShutting(listener *listenerv3.Listener, chain *listenerv3.FilterChain) []string {
	port := chain.FilterChainMatch.GetDestinationPort().GetValue()
	if r.kind == model.Router {
		port = listener.Address.GetSocketAddress().GetPortValue()
	}
	if port == 0 || r.guessed(port) {
		return nil // no Service declares it, or none says that it is HTTP
	}
	admitted, err := connection{port, theGateway}.admits(authorizations(chain))
	switch {
	case err != nil:
		return []string{fmt.Sprintf("port %d may be shut: %v", port, err)}
	case !admitted:
		return []string{fmt.Sprintf("port %d is shut", port)}
	}
	return nil
}

// guessed is a port at which Istio looks for HTTP, and serves TCP where it finds none.
func (r rendered) guessed(port uint32) bool {
	return slices.ContainsFunc(r.ways(), func(chain *listenerv3.FilterChain) bool {
		return declares(port)(chain) && httpManager(chain) == nil
	})
}

// ofRoutes judges who says where a request goes, with the token that it carries: Istio notes it beside each route.
func (r rendered) ofRoutes() []string {
	var found []string
	for _, configuration := range r.routes {
		for _, host := range configuration.VirtualHosts {
			for _, route := range host.Routes {
				by := route.Metadata.GetFilterMetadata()["istio"].GetFields()["config"].GetStringValue()
				if by != "" && !strings.Contains(by, "/namespaces/bank/") {
					found = append(found, fmt.Sprintf("%s: requests are taken by %s", configuration.Name, by))
				}
			}
		}
	}
	return found
}

const theGateway = "spiffe://cluster.local/ns/istio-ingress/sa/gateway"

// reached is every way around a gateway that alone enforces, and whether the gateway itself gets through.
func (r rendered) reached() []string {
	var found []string
	for _, by := range []connection{{8080, theGateway}, {8080, stranger.peer}, {9999, theGateway}, {9999, stranger.peer}} {
		for _, chain := range r.inbound(by.port) {
			admitted, err := by.admits(authorizations(chain))
			switch {
			case err != nil:
				found = append(found, fmt.Sprintf("port %d may be open: %v", by.port, err))
			case admitted && by != connection{8080, theGateway}:
				found = append(found, fmt.Sprintf("port %d is reached by %s", by.port, by.peer))
			case !admitted && by == connection{8080, theGateway}:
				found = append(found, "the gateway does not reach port 8080")
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// inbound are the chains that may serve a connection to this port.
func (r rendered) inbound(port uint32) []*listenerv3.FilterChain {
	var found []*listenerv3.FilterChain
	declared := declares(port)
	isDeclared := slices.ContainsFunc(r.ways(), declared)
	for _, chain := range r.ways() {
		if !goesNowhere(chain) && (declared(chain) || !isDeclared && chain.FilterChainMatch.GetDestinationPort() == nil) {
			found = append(found, chain)
		}
	}
	return found
}

// declares tells of a chain whether it is for this port alone.
func declares(port uint32) func(*listenerv3.FilterChain) bool {
	return func(chain *listenerv3.FilterChain) bool {
		return chain.FilterChainMatch.GetDestinationPort().GetValue() == port
	}
}

// authorizations are those of Istio, for the connection and for each request in it.
func authorizations(chain *listenerv3.FilterChain) []*rbacv3.RBAC {
	var found []*rbacv3.RBAC
	keep := func(typed *anypb.Any) {
		if of := rules(typed); of != nil {
			found = append(found, of)
		}
	}
	for _, filter := range chain.Filters {
		keep(filter.GetTypedConfig())
	}
	for _, filter := range httpManager(chain).GetHttpFilters() {
		keep(filter.GetTypedConfig())
	}
	return found
}

func (r rendered) ofTLS(chain *listenerv3.FilterChain) []string {
	tls, is := unpacked(chain.TransportSocket.GetTypedConfig()).(*tlsv3.DownstreamTlsContext)
	switch {
	case !is:
		return []string{"takes plain text"}
	case tls.CommonTlsContext.GetCombinedValidationContext() == nil:
		return []string{"asks clients for no certificate"}
	case r.kind == model.SidecarProxy && !tls.RequireClientCertificate.GetValue():
		return []string{"takes callers without a certificate"}
	}
	return nil
}

// A gateway tells of its client alone; a sidecar appends its own word, which is how the filter knows the one before it.
func ofCertificateHeader(kind model.NodeType, http *manager.HttpConnectionManager) []string {
	wanted := manager.HttpConnectionManager_APPEND_FORWARD
	if kind == model.Router {
		wanted = manager.HttpConnectionManager_SANITIZE_SET
	}
	if http.ForwardClientCertDetails != wanted {
		return []string{fmt.Sprintf("X-Forwarded-Client-Cert is %s, not %s", http.ForwardClientCertDetails, wanted)}
	}
	return nil
}

// The filter holds a request until an answer comes; should it be lost, only this ends the request.
func ofWaiting(http *manager.HttpConnectionManager) []string {
	if http.StreamIdleTimeout.AsDuration() == 0 {
		return []string{"a request waits for ever"}
	}
	return nil
}

func ofPlace(http *manager.HttpConnectionManager) []string {
	var names []string
	for _, filter := range http.HttpFilters {
		names = append(names, filter.Name)
	}
	ours := extensionNames(http)
	if len(ours) == 0 {
		return []string{"serves requests without the filter"}
	}
	var found []string
	for _, before := range names[:slices.Index(names, ours[len(ours)-1])] {
		if slices.Contains(behind, before) {
			found = append(found, "the filter stands behind "+before)
		}
	}
	return found
}

func (r rendered) ofPlugin(plugin *wasmv3.PluginConfig) []string {
	var found []string
	if policy := plugin.FailurePolicy; policy != wasmv3.FailurePolicy_FAIL_CLOSED && policy != wasmv3.FailurePolicy_FAIL_RELOAD {
		found = append(found, fmt.Sprintf("failure policy %s", policy))
	}
	url := plugin.GetVmConfig().GetCode().GetRemote().GetHttpUri().GetUri()
	if image, is := strings.CutPrefix(url, "oci://"); !is || !isImage(image) {
		found = append(found, fmt.Sprintf("%s is no image", url))
	}
	var policy any
	if json.Unmarshal([]byte(written(plugin)), &policy) != nil {
		return append(found, "the filter gets no policy")
	}
	walk(policy, func(key, value string) {
		switch key {
		case "cluster":
			found = append(found, ofCallout(value, r.clusters[value])...)
		case "env":
			environment := plugin.GetVmConfig().GetEnvironmentVariables()
			if !slices.Contains(environment.GetHostEnvKeys(), value) {
				found = append(found, fmt.Sprintf("the policy reads %s, and vmConfig.env does not take it from the pod", value))
			}
		}
	})
	return found
}

// isImage asks the library with which Istio's agent reads the name.
func isImage(image string) bool {
	_, err := name.ParseReference(image)
	return err == nil
}

// ofCallout judges how the authorization server is reached: who could hand out keys in its place?
func ofCallout(called string, cluster *clusterv3.Cluster) []string {
	if cluster == nil {
		return []string{fmt.Sprintf("%s: the proxy has no such cluster", called)}
	}
	tls, is := unpacked(cluster.TransportSocket.GetTypedConfig()).(*tlsv3.UpstreamTlsContext)
	if !is {
		return []string{fmt.Sprintf("%s: is asked in plain text", called)}
	}
	verified := tls.CommonTlsContext.GetCombinedValidationContext()
	authority := verified.GetValidationContextSdsSecretConfig().GetName()
	var found []string
	switch {
	case authority == "":
		found = append(found, fmt.Sprintf("%s: no authority vouches for it", called))
	case authority == "file-root:system":
		found = append(found, fmt.Sprintf("%s: every authority of the operating system vouches for it", called))
	}
	//nolint:staticcheck // Istio still writes the older field
	if names := verified.GetDefaultValidationContext().GetMatchSubjectAltNames(); len(names) == 0 {
		found = append(found, fmt.Sprintf("%s: whatever name is in its certificate", called))
	}
	return found
}

// walk tells every text in a document with the key under which it stands.
func walk(value any, tell func(key, value string)) {
	switch value := value.(type) {
	case map[string]any:
		for key, member := range value {
			if text, is := member.(string); is {
				tell(key, text)
			}
			walk(member, tell)
		}
	case []any:
		for _, item := range value {
			walk(item, tell)
		}
	}
}
