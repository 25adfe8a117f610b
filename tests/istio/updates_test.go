package istio

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// outage: what was verified goes on without the authorization server, and nothing that was not.
func (w *world) outage(t *testing.T) {
	// At the gateway alone, since it is the one that asks about opaque tokens.
	filter := w.only(t, "behind-the-gateway", "TrafficExtension")
	w.mesh.remove(t, filter)
	t.Cleanup(func() {
		w.mesh.apply(t, filter)
		w.judgedAgain(t)
	})
	filtered(t, w.sidecar, false)
	bank := w.client(&w.bank)
	opaque := func() string { return w.login.opaque(w.claims("prices.read")) }
	known, jwt := w.bound(t, "prices.read"), w.bound(t, "prices.read")
	ready(t, "the bank is served", 200, bank, prices, known)
	ready(t, "the gateway has connected anew", 200, bank, prices, opaque())
	asked := opaque()
	w.run(t, row{"a token is asked about", bank, prices, asked, nil, 200, "granted", ""})
	w.login.stop()
	w.run(t,
		row{"a token that was asked about goes on", bank, prices, asked, nil, 200, "granted", ""},
		row{"so does one that was verified", bank, prices, known, nil, 200, "granted", ""},
		row{"and one that our keys verify", bank, prices, jwt, nil, 200, "granted", ""},
		row{"another certificate is refused as ever", w.client(&w.thief), prices, jwt, nil, 401, "binding.other_certificate", ""},
		row{"nobody can be asked about another", bank, prices, opaque(), nil, 503, "server.introspection", ""},
	)
	w.login.start(t)
	ready(t, "it is back", 200, bank, prices, opaque())
	w.run(t, row{"until it is back", bank, prices, opaque(), nil, 200, "granted", ""})
}

// refusedConfiguration leaves a proxy with the one before, and its log says what is wrong; a proxy that starts with it serves nobody.
func (w *world) refusedConfiguration(t *testing.T) {
	good := w.only(t, "behind-the-gateway", "TrafficExtension")
	bad := strings.Replace(good, "realm: bank", "relm: bank", 1)
	bank, thief, token := w.client(&w.bank), w.client(&w.thief), w.bound(t, "prices.read")
	risk := w.meshCA.workload(t, "spiffe://cluster.local/ns/risk/sa/pricing")
	ready(t, "the bank is served", 200, bank, prices, token)
	w.mesh.apply(t, bad)
	t.Cleanup(func() {
		w.mesh.apply(t, good)
		ready(t, "the bank is served again", 200, bank, prices, token)
	})
	eventually(t, "the log says what is wrong", func() bool {
		return strings.Contains(w.sidecar.log(t), "holdfast: configuration refused: challenge.relm: ")
	})
	w.run(t,
		row{"the policy before serves on", bank, prices, token, nil, 200, "granted", "granted"},
		row{"and refuses on", thief, prices, token, nil, 401, "binding.other_certificate", ""},
		row{"at the sidecar too", w.peer("8080", &w.sidecar.identity), prices, "", nil, 401, "", "credential.missing"},
	)
	w.sidecar.restart(t)
	w.run(t,
		row{"a sidecar that starts with it serves nobody", w.peer("8080", &risk), prices, "", nil, 500, "", ""},
		row{"whoever comes through the gateway", bank, prices, token, nil, 500, "granted", ""},
	)
}

// wrongDigest: what can't be fetched, or is not what was named, lets nobody in, at no time.
func (w *world) wrongDigest(t *testing.T) {
	good := w.only(t, "gateway", "TrafficExtension")
	bank, thief, token := w.client(&w.bank), w.client(&w.thief), w.bound(t, "prices.read")
	for name, bad := range map[string]string{
		"in_the_reference":     strings.Replace(good, w.image, w.image[:len(w.image)-64]+strings.Repeat("f", 64), 1),
		"beside_the_reference": strings.Replace(good, "    url: ", "    sha256: "+strings.Repeat("f", 64)+"\n    url: ", 1),
	} {
		t.Run(name, func(t *testing.T) {
			ready(t, "the bank is served", 200, bank, prices, token)
			stop := w.always(t, thief, token, 401, 403)
			w.mesh.apply(t, bad)
			ready(t, "nobody is let in", 403, bank, prices, token)
			w.mesh.apply(t, good)
			ready(t, "the bank is served again", 200, bank, prices, token)
			stop()
		})
	}
}

// newVersion: requests that come while one module takes over from another are all answered, each as it must be.
func (w *world) newVersion(t *testing.T) {
	good := w.only(t, "gateway", "TrafficExtension")
	bank, thief, token := w.client(&w.bank), w.client(&w.thief), w.bound(t, "prices.read")
	ready(t, "the bank is served", 200, bank, prices, token)
	served, refused := w.always(t, w.client(&w.bank), token, 200), w.always(t, w.client(&w.thief), token, 401)
	next := strings.Replace(good, w.image, push(t, renewed(t, shipped(t))), 1)
	w.mesh.apply(t, strings.Replace(next, "realm: bank", "realm: renewed", 1))
	eventually(t, "the new version answers", func() bool {
		return strings.Contains(thief.ask(t, "GET", "/prices/"+unlisted, token).challenge, `realm="renewed"`)
	})
	time.Sleep(500 * time.Millisecond) // both workers
	w.mesh.apply(t, good)
	eventually(t, "the old version answers again", func() bool {
		return strings.Contains(thief.ask(t, "GET", "/prices/"+unlisted, token).challenge, `realm="bank"`)
	})
	if served() < 50 || refused() < 50 {
		t.Error("too few requests came while the versions changed")
	}
}

// always sends one request after another, each of which has to get one of these; what it returns ends that, and tells how many.
func (w *world) always(t *testing.T, by caller, token string, statuses ...int) func() int {
	end, count := make(chan struct{}), 0
	var done sync.WaitGroup
	done.Go(func() {
		for ; ; count++ {
			select {
			case <-end:
				return
			default:
			}
			time.Sleep(2 * time.Millisecond)
			if got := by.ask(t, "GET", "/prices/"+unlisted, token); !slices.Contains(statuses, got.status) {
				t.Errorf("request %d: %d %s", count, got.status, got.problem)
				return
			}
		}
	})
	stop := sync.OnceValue(func() int {
		close(end)
		done.Wait()
		return count
	})
	t.Cleanup(func() { stop() })
	return stop
}
