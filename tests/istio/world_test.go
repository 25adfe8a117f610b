package istio

import (
	"crypto/rand"
	"strings"
	"testing"

	"istio.io/istio/pkg/log"
	"istio.io/istio/pkg/util/protomarshal"
)

// world is a bank's mesh: clients, a gateway, a workload behind its sidecar, and an authorization server.
//
//	client --mutual TLS--> gateway --mesh mTLS--> sidecar --> service
//	                          '-------------------'--> authorization server
type world struct {
	mesh             controlPlane
	login            *authorizationServer
	gateway, sidecar *proxy
	image            string // by its digest
	meshCA, serverCA identity
	clientCA         identity
	bank, thief      identity // clients that the gateway's authority has certified
}

func newWorld(t *testing.T) *world {
	t.Helper()
	quiet()
	enter(t, "127.0.0.3", map[string]string{"login.bank.example": "127.0.0.4"})
	w := &world{meshCA: authority(t, "mesh"), serverCA: authority(t, "servers"), clientCA: authority(t, "banks")}
	w.bank, w.thief = w.clientCA.host(t, "bank-a.example"), w.clientCA.host(t, "thief.example")
	w.login = &authorizationServer{
		issuer: "https://login.bank.example", audience: "https://api.bank.example", address: "127.0.0.4:443",
		client: "rs", secret: rand.Text(), shows: w.serverCA.host(t, "login.bank.example"), key: newKey(t),
		known: map[string]map[string]any{}, asked: map[string]int{},
	}
	w.login.start(t)
	t.Cleanup(w.login.stop)
	serveRegistry(t)
	w.image = push(t, shipped(t))
	serveService(t, "127.0.0.3:8080")
	serveService(t, "127.0.0.3:9090") // no Service declares this one
	w.startMesh(t)
	return w
}

func (w *world) startMesh(t *testing.T) {
	t.Helper()
	settings := shippedMesh(t)
	defaults, err := protomarshal.ToJSONMap(settings.mesh.DefaultConfig)
	must(t, err)
	manifests := []string{
		read(t, "testdata/cluster.yaml"), read(t, "testdata/sandbox.yaml"), w.secrets(t), w.shipped(t, "gateway"), w.shipped(t, "behind-the-gateway"),
	}
	const gateway, orders = "spiffe://cluster.local/ns/istio-ingress/sa/gateway", "spiffe://cluster.local/ns/bank/sa/orders"
	w.mesh = serveMesh(t, settings, once(strings.Join(manifests, "\n---\n")), gateway, orders)
	statistics := bootstrapOverride(t, manifests[3])
	w.gateway = &proxy{
		kind: "router", name: "gateway-1", namespace: "istio-ingress", account: "gateway", address: "127.0.0.2", admin: 16100,
		labels: map[string]string{"istio": "gateway"}, defaults: defaults, override: statistics, identity: w.meshCA.workload(t, gateway), root: w.meshCA,
		secrets: map[string]string{"RS_SECRET": w.login.secret},
	}
	w.sidecar = &proxy{
		kind: "sidecar", name: "orders-1", namespace: "bank", account: "orders", address: "127.0.0.3", admin: 16000,
		labels:   map[string]string{"app": "orders", "security.istio.io/tlsMode": "istio"},
		defaults: defaults, override: statistics, identity: w.meshCA.workload(t, orders), root: w.meshCA,
		secrets: map[string]string{"RS_SECRET": w.login.secret},
	}
	w.gateway.start(t)
	w.sidecar.start(t)
}

// quiet leaves the control plane's own words to those who look for them.
func quiet() {
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel)
	}
}
