package istio

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serveService starts what is protected: it tells a caller which header fields reached it.
func serveService(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	must(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(r.Header)
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
}

// caller is a client that connects to one proxy, with a certificate or without.
type caller struct {
	http *http.Client
	base string
}

// answer is what a caller got; `reached` holds what the service saw, nothing where it was not reached.
type answer struct {
	status             int
	challenge, problem string
	reached            http.Header
	resumed            bool
}

// client calls the API at the gateway.
func (w *world) client(shows *identity) caller {
	settings := &tls.Config{RootCAs: w.serverCA.pool(), ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	return calling("https://api.bank.example", "127.0.0.2:8443", settings, shows)
}

// peer calls a port of the workload from inside of the mesh; the sidecar is in its way, whatever it offers by ALPN.
func (w *world) peer(port string, shows *identity, alpn ...string) caller {
	// A workload's certificate has no host name that a client could look for; Envoy compares SPIFFE IDs instead.
	settings := &tls.Config{InsecureSkipVerify: true, NextProtos: alpn}
	return calling("https://orders.bank", "127.0.0.3:"+port, settings, shows)
}

func calling(base, address string, settings *tls.Config, shows *identity) caller {
	if shows != nil {
		// Whatever authorities the proxy names, this one is shown.
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			certificate := shows.tls()
			return &certificate, nil
		}
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return caller{&http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: settings}, Timeout: 5 * time.Second}, base}
}

// ask sends one request; the fields are names and values in turn.
func (c caller) ask(t *testing.T, method, path, token string, fields ...string) answer {
	t.Helper()
	request, err := http.NewRequest(method, c.base+path, nil)
	must(t, err)
	if token != "" {
		request.Header.Set("authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		request.Header.Add(fields[i], fields[i+1])
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{problem: err.Error()}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	got := answer{status: response.StatusCode, challenge: response.Header.Get("www-authenticate"), resumed: response.TLS != nil && response.TLS.DidResume}
	if got.status == http.StatusOK && json.Unmarshal(body, &got.reached) != nil {
		t.Fatalf("%s %s: the service did not write %q", method, path, body)
	}
	got.problem = strings.TrimSpace(string(body))
	return got
}

// hangUp has the next request make a new connection.
func (c caller) hangUp() { c.http.CloseIdleConnections() }
