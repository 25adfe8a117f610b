package istio

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/url"
	"testing"
	"time"
)

// identity is a certificate and its key; an authority's signs others.
type identity struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// authority makes one that signs.
func authority(t *testing.T, name string) identity {
	t.Helper()
	return signed(t, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	})
}

// workload makes one as Istio does: a SPIFFE ID and nothing else.
func (ca identity) workload(t *testing.T, id string) identity {
	t.Helper()
	uri, err := url.Parse(id)
	must(t, err)
	return signed(t, &ca, &x509.Certificate{URIs: []*url.URL{uri}})
}

// host makes one for a server or for a client, by name.
func (ca identity) host(t *testing.T, name string) identity {
	t.Helper()
	return signed(t, &ca, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}})
}

func signed(t *testing.T, issuer *identity, template *x509.Certificate) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	if !template.IsCA {
		template.KeyUsage = x509.KeyUsageDigitalSignature
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	if issuer == nil {
		issuer = &identity{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.certificate, &key.PublicKey, issuer.key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return identity{certificate, key}
}

// hex is how Envoy writes its digest.
func (i identity) hex() string {
	sum := sha256.Sum256(i.certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// digest is what a token that is bound to this certificate holds: x5t#S256 of RFC 8705.
func (i identity) digest() string {
	sum := sha256.Sum256(i.certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (i identity) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.certificate.Raw})
}

func (i identity) keyPEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (i identity) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{i.certificate.Raw}, PrivateKey: i.key, Leaf: i.certificate}
}

func (i identity) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(i.certificate)
	return pool
}
