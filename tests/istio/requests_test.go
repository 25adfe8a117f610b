package istio

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
)

// row is one request and what has to become of it.
type row struct {
	says                 string
	by                   caller
	line, token          string // method and path
	fields               []string
	status               int
	atGateway, atSidecar string // the reasons in their access logs, none where it did not get so far
}

// run asks row by row, and keeps for `observation` what the access logs have to hold.
func (w *world) run(t *testing.T, rows ...row) {
	t.Helper()
	for _, row := range rows {
		t.Run(strings.ReplaceAll(row.says, " ", "_"), func(t *testing.T) {
			method, path, _ := strings.Cut(row.line, " ")
			got := row.by.ask(t, method, path, row.token, row.fields...)
			if got.status != row.status || (got.reached != nil) != (row.status == 200) {
				t.Fatalf("%s: %d, and %d is wanted: %s %s", row.line, got.status, row.status, got.challenge, got.problem)
			}
			w.expect(w.gateway, row.status, row.atGateway)
			w.expect(w.sidecar, row.status, row.atSidecar)
		})
	}
}

func (w *world) expect(at *proxy, status int, reason string) {
	if reason != "" {
		at.expected = append(at.expected, fmt.Sprintf("%d %s", status, reason))
	}
}

// bound is a token of the bank's own certificate.
func (w *world) bound(t *testing.T, scope string, roles ...string) string {
	t.Helper()
	return w.login.jwt(t, w.claims(scope, roles...))
}

func (w *world) claims(scope string, roles ...string) map[string]any {
	return w.login.claims(w.bank, map[string]any{"scope": scope, "roles": append([]string{}, roles...)})
}

// ready waits until a request gets this, which a proxy that has a new configuration does. Each comes by a new connection, since an
// old one may still be at a listener that has been replaced.
func ready(t *testing.T, what string, status int, by caller, line, token string) answer {
	t.Helper()
	var got answer
	method, to, _ := strings.Cut(line, " ")
	eventually(t, fmt.Sprintf("%s, so that there is a %d", what, status), func() bool {
		by.hangUp()
		got = by.ask(t, method, path.Join(path.Dir(to), unlisted), token)
		return got.status == status
	})
	return got
}

// unlisted ends the path of requests that no row is for.
const unlisted = "unlisted"

const (
	prices = "GET /prices/DE0001"
	orders = "POST /orders"
)

// clients come through the gateway, whose filter judges them, and so does the sidecar's.
func (w *world) clients(t *testing.T) {
	bank, thief := w.client(&w.bank), w.client(&w.thief)
	token := w.bound(t, "prices.read")
	ready(t, "both have the filter", 200, bank, prices, token)
	w.run(t,
		row{"the right certificate passes", bank, prices, token, nil, 200, "granted", "granted"},
		row{"another certificate does not", thief, prices, token, nil, 401, "binding.other_certificate", ""},
		row{"nor with a forged header beside it", thief, prices, token, claiming(w.bank), 401, "binding.other_certificate", ""},
		row{"no token", bank, prices, "", nil, 401, "credential.missing", ""},
		row{"another scope", bank, prices, w.bound(t, "prices.write"), nil, 403, "token.scope", ""},
		row{"a trader orders", bank, orders, w.bound(t, "prices.write", "trader"), nil, 200, "granted", "granted"},
		row{"so does a head trader", bank, orders, w.bound(t, "prices.write", "head-trader"), nil, 200, "granted", "granted"},
		row{"nobody without that role does", bank, orders, w.bound(t, "prices.write", "clerk"), nil, 403, "policy.no_rule", ""},
		row{"a load balancer asks for health", bank, "GET /healthz", "", nil, 200, "public", "public"},
		row{"a path that no route has", bank, "GET /admin", token, nil, 403, "policy.no_route", ""},
	)
	t.Run("what_a_client_writes_of_certificates_and_its_token_reach_no_service", func(t *testing.T) {
		got := bank.ask(t, "GET", "/prices/DE0001", token, claiming(w.thief)...)
		w.expect(w.gateway, got.status, "granted")
		w.expect(w.sidecar, got.status, "granted")
		told(t, got, w.thief, false)
		told(t, got, w.bank, true)
		if got.reached.Get("authorization") != "" {
			t.Error("the service saw the token")
		}
	})
	t.Run("no_other_namespace_opens_a_port_at_the_gateway", func(t *testing.T) {
		if there, err := net.Dial("tcp", "127.0.0.2:9000"); err == nil {
			there.Close()
			t.Error("port 9000 of testdata/sandbox.yaml is open")
		}
	})
	t.Run("who_has_no_certificate_of_the_authority_gets_no_connection", func(t *testing.T) {
		stranger := authority(t, "strangers").host(t, "bank-a.example")
		refused(t, w.client(nil), prices, token)
		refused(t, w.client(&stranger), prices, token)
	})
}

const xfcc = "x-forwarded-client-cert"

// claiming is a header field that says what only a proxy can know.
func claiming(whose identity) []string {
	certificate := strings.ReplaceAll(url.QueryEscape(string(whose.pem())), "+", "%20")
	return []string{xfcc, fmt.Sprintf(`Hash=%s;Cert="%s"`, whose.hex(), certificate)}
}

// told is whether the service heard of a certificate.
func told(t *testing.T, got answer, whose identity, wanted bool) {
	t.Helper()
	said := strings.Join(got.reached.Values(xfcc), ",")
	if got.status != 200 || strings.Contains(said, whose.hex()) != wanted {
		t.Errorf("%d: the service was told of %s: %q", got.status, whose.certificate.Subject, said)
	}
}

// refused is a connection that the proxy ends without an answer. Which of these its caller sees depends on who was faster.
func refused(t *testing.T, by caller, line, token string) {
	t.Helper()
	method, path, _ := strings.Cut(line, " ")
	got := by.ask(t, method, path, token)
	ends := func(end string) bool { return strings.Contains(got.problem, end) }
	if got.status != 0 || !slices.ContainsFunc([]string{"tls: ", "EOF", "connection reset", "broken pipe"}, ends) {
		t.Errorf("%d: %q, and a connection that ends is wanted", got.status, got.problem)
	}
}

// peers connect to the workload from inside of the mesh, past the gateway.
func (w *world) peers(t *testing.T) {
	risk := w.meshCA.workload(t, "spiffe://cluster.local/ns/risk/sa/pricing")
	payments := w.meshCA.workload(t, "spiffe://cluster.local/ns/bank/sa/payments")
	abroad := w.meshCA.workload(t, "spiffe://other.example/ns/risk/sa/pricing")
	token := w.bound(t, "prices.read")
	w.run(t,
		row{"a workload of the policy needs no token", w.peer("8080", &risk), prices, "", nil, 200, "", "granted"},
		row{"another needs one", w.peer("8080", &payments), prices, "", nil, 401, "", "credential.missing"},
		row{"of its own", w.peer("8080", &payments), prices, token, nil, 401, "", "binding.other_certificate"},
		row{"and is no gateway", w.peer("8080", &payments), prices, token, claiming(w.bank), 401, "", "binding.other_certificate"},
		row{"the gateway speaks for nobody", w.peer("8080", &w.gateway.identity), prices, token, nil, 401, "", "binding.no_certificate"},
		row{"but for its clients", w.peer("8080", &w.gateway.identity), prices, token, claiming(w.bank), 200, "", "granted"},
	)
	t.Run("what_a_peer_writes_of_certificates_reaches_no_service", func(t *testing.T) {
		got := w.peer("8080", &risk).ask(t, "GET", "/prices/DE0001", "", claiming(w.bank)...)
		w.expect(w.sidecar, got.status, "granted")
		told(t, got, w.bank, false)
	})
	t.Run("a_port_that_no_service_declares_is_closed", func(t *testing.T) {
		refused(t, w.peer("9090", &risk), prices, "")
		if got := w.peer("9090", &risk, "istio-http/1.1").ask(t, "GET", "/prices/"+unlisted, ""); got.status != 403 {
			t.Errorf("%d %s", got.status, got.problem)
		}
	})
	t.Run("nobody_connects_without_a_certificate_of_the_mesh", func(t *testing.T) {
		refused(t, w.peer("8080", nil), prices, "")
		refused(t, w.peer("8080", &w.bank), prices, token)
		refused(t, w.peer("8080", &abroad), prices, "")
		plain := w.peer("8080", nil)
		plain.base = "http://orders.bank"
		refused(t, plain, prices, "")
	})
}

// nobody is who comes without a certificate: not the bank, whose token it shows, and not the gateway, which the sidecar sees.
func (w *world) nobody(t *testing.T) {
	gateway, filter := w.shipped(t, "gateway"), w.only(t, "gateway", "TrafficExtension")
	w.mesh.apply(t, strings.Replace(of(t, "Gateway", gateway), "mode: MUTUAL", "mode: OPTIONAL_MUTUAL", 1))
	t.Cleanup(func() { w.mesh.apply(t, of(t, "Gateway", gateway)) })
	anybody, bank, token := w.client(nil), w.client(&w.bank), w.bound(t, "prices.read")
	ready(t, "the gateway lets anybody connect", 401, anybody, prices, token)
	w.run(t,
		row{"with a certificate as ever", bank, prices, token, nil, 200, "granted", "granted"},
		row{"without one", anybody, prices, token, nil, 401, "binding.no_certificate", ""},
		row{"nor with a forged header", anybody, prices, token, claiming(w.bank), 401, "binding.no_certificate", ""},
	)
	w.mesh.remove(t, filter)
	t.Cleanup(func() {
		w.mesh.apply(t, filter)
		filtered(t, w.gateway, true)
	})
	filtered(t, w.gateway, false)
	anybody, bank = w.client(nil), w.client(&w.bank)
	w.run(t,
		row{"where the sidecar alone judges, with one", bank, prices, token, nil, 200, "", "granted"},
		row{"and without", anybody, prices, token, nil, 401, "", "binding.no_certificate"},
		row{"or with a forged header", anybody, prices, token, claiming(w.bank), 401, "", "binding.no_certificate"},
		row{"or with another", w.client(&w.thief), prices, token, nil, 401, "", "binding.other_certificate"},
	)
}

// workloads are let in by their names alone.
func (w *world) workloads(t *testing.T) {
	w.mesh.apply(t, w.only(t, "workloads", "TrafficExtension"))
	t.Cleanup(func() { w.mesh.apply(t, w.only(t, "behind-the-gateway", "TrafficExtension")) })
	peer := func(id string) caller {
		shows := w.meshCA.workload(t, "spiffe://cluster.local/ns/"+id)
		return w.peer("8080", &shows)
	}
	const ledger, entries = "GET /ledger/2026", "POST /ledger/risk/entries"
	ready(t, "the sidecar has the policy of workloads", 200, peer("risk/sa/reporting"), ledger, "")
	w.run(t,
		row{"a service account of any namespace", peer("risk/sa/reporting"), ledger, "", nil, 200, "", "granted"},
		row{"any service account of a namespace", peer("treasury/sa/desk"), ledger, "", nil, 200, "", "granted"},
		row{"no other", peer("risk/sa/desk"), ledger, "", nil, 403, "", "policy.no_rule"},
		row{"a namespace that is shut out", peer("sandbox/sa/reporting"), ledger, "", nil, 403, "", "policy.denied"},
		row{"each writes its own book", peer("risk/sa/booking"), entries, "", nil, 200, "", "granted"},
		row{"and no other's", peer("treasury/sa/booking"), entries, "", nil, 403, "", "policy.no_rule"},
		row{"Prometheus reads metrics", peer("monitoring/sa/prometheus"), "GET /metrics", "", nil, 200, "", "granted"},
		row{"the gateway does not", peer("istio-ingress/sa/gateway"), "GET /metrics", "", nil, 403, "", "policy.no_rule"},
	)
}

// filtered waits until a proxy has the filter where new connections come in, or has none.
func filtered(t *testing.T, at *proxy, wanted bool) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s with the filter: %t", at.name, wanted), func() bool {
		listeners := at.listeners()
		return listeners != "" && strings.Contains(listeners, "trafficextension/") == wanted
	})
}

// judgedAgain waits until the sidecar's filter judges what comes from the gateway too. A connection of the gateway's to a listener
// that has been replaced serves one request more, and each worker of the gateway has its own.
func (w *world) judgedAgain(t *testing.T) {
	t.Helper()
	filtered(t, w.sidecar, true)
	for range 10 {
		ready(t, "the sidecar judges what the gateway lets through", 401, w.client(&w.bank), prices, w.login.opaque(w.claims("prices.read")))
	}
}

// only is the resources of one kind of a folder.
func (w *world) only(t *testing.T, folder, kind string) string {
	t.Helper()
	return of(t, kind, w.shipped(t, folder))
}

// onlyThroughTheGateway has no filter at the sidecar: whoever is not the gateway does not get there.
func (w *world) onlyThroughTheGateway(t *testing.T) {
	filter, admits := w.only(t, "behind-the-gateway", "TrafficExtension"), w.only(t, "only-through-the-gateway", "AuthorizationPolicy")
	risk := w.meshCA.workload(t, "spiffe://cluster.local/ns/risk/sa/pricing")
	ready(t, "the sidecar has the policy of banks", 200, w.peer("8080", &risk), prices, "")
	w.mesh.remove(t, filter)
	w.mesh.apply(t, admits)
	t.Cleanup(func() {
		w.mesh.apply(t, filter)
		w.mesh.remove(t, admits)
		w.judgedAgain(t)
		ready(t, "the sidecar admits others again", 401, w.peer("8080", &w.sidecar.identity), prices, "")
	})
	bank, thief, opaque := w.client(&w.bank), w.client(&w.thief), w.login.opaque(w.claims("prices.read"))
	ready(t, "the sidecar admits the gateway alone", 403, w.peer("8080", &risk), prices, "")
	filtered(t, w.sidecar, false)
	ready(t, "the gateway has connected anew", 200, bank, prices, opaque)
	w.run(t,
		row{"a token that says nothing is asked about", bank, prices, opaque, nil, 200, "granted", ""},
		row{"and bound like another", thief, prices, opaque, nil, 401, "binding.other_certificate", ""},
		row{"one that nobody knows", bank, prices, rand.Text(), nil, 401, "token.inactive", ""},
		row{"a workload of the mesh does not get there", w.peer("8080", &risk), prices, "", nil, 403, "", ""},
		row{"nor does one that claims a certificate", w.peer("8080", &risk), prices, opaque, claiming(w.bank), 403, "", ""},
		row{"the gateway does", w.peer("8080", &w.gateway.identity), prices, "", nil, 200, "", ""},
	)
	if asked := w.login.count("/token/introspection"); asked < 2 {
		t.Errorf("the authorization server was asked %d times", asked)
	}
}

// opaque tokens are asked about by the gateway and again by a sidecar that has a secret for it.
func (w *world) opaque(t *testing.T) {
	w.mesh.apply(t, of(t, "TrafficExtension", w.rendered(t, "testdata/introspection")))
	t.Cleanup(func() { w.mesh.apply(t, w.only(t, "behind-the-gateway", "TrafficExtension")) })
	bank, thief := w.client(&w.bank), w.client(&w.thief)
	token := func(scope string, roles ...string) string {
		return w.login.opaque(w.claims(scope, roles...))
	}
	ready(t, "the sidecar asks too", 200, bank, prices, token("prices.read"))
	before := w.login.count("/token/introspection")
	w.run(t,
		row{"the right certificate passes both", bank, prices, token("prices.read"), nil, 200, "granted", "granted"},
		row{"another does not", thief, prices, token("prices.read"), nil, 401, "binding.other_certificate", ""},
		row{"a trader orders", bank, orders, token("prices.write", "trader"), nil, 200, "granted", "granted"},
		row{"nobody else does", bank, orders, token("prices.write"), nil, 403, "policy.no_rule", ""},
	)
	if asked := w.login.count("/token/introspection") - before; asked != 6 {
		t.Errorf("the authorization server was asked %d times about four tokens, of which two came through", asked)
	}
}

// wasmPlugins are the same for older versions of Istio, and enforce the same.
func (w *world) wasmPlugins(t *testing.T) {
	for _, folder := range []string{"gateway", "behind-the-gateway"} {
		extension, plugin := w.only(t, folder, "TrafficExtension"), w.only(t, folder+"-wasmplugin", "WasmPlugin")
		// In this order nothing is open in between; twice the filter refuses what the first has stripped of its token.
		w.mesh.apply(t, plugin)
		w.mesh.remove(t, extension)
		t.Cleanup(func() {
			w.mesh.apply(t, extension)
			w.mesh.remove(t, plugin)
		})
	}
	for _, at := range []*proxy{w.gateway, w.sidecar} {
		eventually(t, at.name+" has the filter of a WasmPlugin and no other", func() bool {
			listeners := at.listeners()
			return strings.Contains(listeners, "istio-translated-wasmplugin") && !strings.Contains(listeners, `.holdfast"`)
		})
	}
	bank, token := w.client(&w.bank), w.bound(t, "prices.read")
	ready(t, "both have the filter", 200, bank, prices, token)
	w.run(t,
		row{"the right certificate passes", bank, prices, token, nil, 200, "granted", "granted"},
		row{"another does not", w.client(&w.thief), prices, token, nil, 401, "binding.other_certificate", ""},
		row{"nor a peer that is no gateway", w.peer("8080", &w.sidecar.identity), prices, token, claiming(w.bank), 401, "", "binding.other_certificate"},
	)
}

// sessions that would be resumed without istio/no-session-resumption make a whole handshake with it.
func (w *world) sessions(t *testing.T) {
	bank, token := w.client(&w.bank), w.bound(t, "prices.read")
	twice := func() bool {
		ready(t, "the bank is served", 200, bank, prices, token)
		bank.hangUp()
		return ready(t, "the bank is served again", 200, bank, prices, token).resumed
	}
	if !twice() {
		t.Error("without the manifest no session is resumed, so this shows nothing")
	}
	filters := w.shipped(t, "no-session-resumption")
	w.mesh.apply(t, filters)
	t.Cleanup(func() { w.mesh.remove(t, filters) })
	for _, at := range []*proxy{w.gateway, w.sidecar} {
		eventually(t, at.name+" resumes nothing", func() bool {
			return strings.Contains(at.listeners(), `"disable_stateless_session_resumption": true`)
		})
	}
	bank.hangUp()
	eventually(t, "the gateway makes whole handshakes", func() bool { return !twice() })
}
