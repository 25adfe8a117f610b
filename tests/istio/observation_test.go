package istio

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// entry is a line of the access log that istio/mesh-config.yaml describes.
type entry struct {
	Path, Decision, Reason, Route, Issuer, Subject, Binding string
	Status                                                  int
	ClientID                                                string `json:"client_id"`
	Certificate                                             string `json:"certificate_sha256"`
	SpiffeID                                                string `json:"certificate_uri"`
}

// decided is what the access log holds of requests that the filter decided and that rows are for.
func (p *proxy) decided(t *testing.T) []entry {
	t.Helper()
	var all []entry
	for line := range strings.Lines(p.log(t)) {
		var one entry
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &one) == nil && one.Reason != "" && !strings.HasSuffix(one.Path, "/"+unlisted) {
			all = append(all, one)
		}
	}
	return all
}

// observation: every decision of this test stands in the access logs, with its reason, and is counted.
func (w *world) observation(t *testing.T) {
	for _, at := range []*proxy{w.gateway, w.sidecar} {
		told := func() []string {
			var all []string
			for _, one := range at.decided(t) {
				all = append(all, fmt.Sprintf("%d %s", one.Status, one.Reason))
			}
			return all
		}
		eventually(t, at.name+" has written its log", func() bool { return len(told()) >= len(at.expected) }) // it does so once a second
		if got := told(); !slices.Equal(got, at.expected) {
			t.Errorf("%s tells\n%q, and\n%q is wanted", at.name, got, at.expected)
		}
	}
	t.Run("who_called_and_what_was_decided", func(t *testing.T) {
		want := entry{
			Path: "/prices/DE0001", Decision: "permit", Reason: "granted", Route: "prices", Issuer: "login", Subject: "alice",
			Binding: "certificate", Status: 200, ClientID: "bank-a", Certificate: w.bank.hex(),
		}
		if got := w.gateway.decided(t)[0]; got != want {
			t.Errorf("%+v, and %+v is wanted", got, want)
		}
		want.Certificate, want.SpiffeID = w.gateway.identity.hex(), "spiffe://cluster.local/ns/istio-ingress/sa/gateway"
		if got := w.sidecar.decided(t)[0]; got != want {
			t.Errorf("%+v, and %+v is wanted", got, want)
		}
	})
	t.Run("statistics", func(t *testing.T) {
		const series = `holdfast_requests{route="prices",decision="deny",reason="binding_other_certificate"} `
		if said := w.gateway.asked("/stats/prometheus"); !strings.Contains(said, series) {
			t.Errorf("%s is not among the statistics", series)
		}
	})
}
