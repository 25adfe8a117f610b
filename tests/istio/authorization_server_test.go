package istio

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// authorizationServer signs tokens, publishes its key, and says of opaque tokens what it knows, to one client by its secret.
type authorizationServer struct {
	issuer, audience, address string
	client, secret            string
	shows                     identity
	key                       *ecdsa.PrivateKey
	server                    *http.Server

	guard sync.Mutex
	known map[string]map[string]any // what introspection says, by token
	asked map[string]int            // by path
}

// start serves anew, with all that it knew; stop ends every connection to it.
func (s *authorizationServer) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", s.address)
	must(t, err)
	s.server = &http.Server{Handler: s, TLSConfig: &tls.Config{Certificates: []tls.Certificate{s.shows.tls()}}}
	go s.server.ServeTLS(listener, "", "")
}

func (s *authorizationServer) stop() { s.server.Close() }

func (s *authorizationServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.guard.Lock()
	defer s.guard.Unlock()
	s.asked[r.URL.Path]++
	w.Header().Set("content-type", "application/json")
	switch r.URL.Path {
	case "/jwks":
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{s.publicKey()}})
	case "/token/introspection":
		if client, secret, ok := r.BasicAuth(); !ok || client != s.client || secret != s.secret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		said, ok := s.known[r.PostFormValue("token")]
		if !ok {
			said = map[string]any{"active": false}
		}
		json.NewEncoder(w).Encode(said)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *authorizationServer) count(path string) int {
	s.guard.Lock()
	defer s.guard.Unlock()
	return s.asked[path]
}

func (s *authorizationServer) publicKey() map[string]any {
	point, err := s.key.PublicKey.Bytes()
	if err != nil {
		panic(err) // the key was made here
	}
	return map[string]any{"kty": "EC", "crv": "P-256", "kid": "1", "alg": "ES256", "use": "sig", "x": base64URL(point[1:33]), "y": base64URL(point[33:])}
}

// claims of a token that is bound to a certificate; those in `and` come over them.
func (s *authorizationServer) claims(bound identity, and map[string]any) map[string]any {
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": s.issuer, "aud": s.audience, "sub": "alice", "client_id": "bank-a", "jti": rand.Text(),
		"iat": now - 1, "exp": now + 600, "cnf": map[string]any{"x5t#S256": bound.digest()},
	}
	maps.Copy(claims, and)
	return claims
}

// jwt is an access token of RFC 9068.
func (s *authorizationServer) jwt(t *testing.T, claims map[string]any) string {
	t.Helper()
	header, err := json.Marshal(map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": "1"})
	must(t, err)
	payload, err := json.Marshal(claims)
	must(t, err)
	input := base64URL(header) + "." + base64URL(payload)
	sum := sha256.Sum256([]byte(input))
	r, other, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	must(t, err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	other.FillBytes(signature[32:])
	return input + "." + base64URL(signature)
}

// opaque is a token that says nothing, of which introspection says the claims.
func (s *authorizationServer) opaque(claims map[string]any) string {
	token := rand.Text()
	claims["active"] = true
	s.guard.Lock()
	defer s.guard.Unlock()
	s.known[token] = claims
	return token
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func base64URL(octets []byte) string { return base64.RawURLEncoding.EncodeToString(octets) }
