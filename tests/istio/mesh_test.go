package istio

import (
	"net"
	"testing"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/security"
)

// controlPlane is one that proxies connect to, of manifests that a test changes while they run.
type controlPlane struct{ server *xds.FakeDiscoveryServer }

// serveMesh starts one; every proxy is believed to be each of these workloads.
func serveMesh(t *testing.T, by installation, manifests string, workloads ...string) controlPlane {
	t.Helper()
	by.begin(t)
	server := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
		ConfigString: manifests, KubernetesObjectString: manifests, MeshConfig: by.mesh, // Secrets are read from the second
		DisableSecretAuthorization: true,
		ListenerBuilder:            func() (net.Listener, error) { return net.Listen("tcp", discovery) },
	})
	server.Discovery.Authenticators = append(server.Discovery.Authenticators, believed(workloads))
	return controlPlane{server}
}

// apply creates or changes what the manifests say, as `kubectl apply` does.
func (m controlPlane) apply(t *testing.T, manifests string) {
	t.Helper()
	for _, wanted := range parsed(t, manifests) {
		_, err := m.server.Store().Update(wanted)
		if m.server.Store().Get(wanted.GroupVersionKind, wanted.Name, wanted.Namespace) == nil {
			_, err = m.server.Store().Create(wanted)
		}
		must(t, err)
	}
}

// remove deletes them.
func (m controlPlane) remove(t *testing.T, manifests string) {
	t.Helper()
	for _, unwanted := range parsed(t, manifests) {
		must(t, m.server.Store().Delete(unwanted.GroupVersionKind, unwanted.Name, unwanted.Namespace, nil))
	}
}

func parsed(t *testing.T, manifests string) []config.Config {
	t.Helper()
	configs, others, err := crd.ParseInputs(manifests)
	must(t, err)
	for _, other := range others {
		t.Fatalf("%s %s is nothing that the mesh can apply while it runs", other.Kind, other.Name)
	}
	return configs
}

// believed stands in for Kubernetes, which would review the proxy's service account.
type believed []string

func (believed) AuthenticatorType() string { return "believed" }
func (b believed) Authenticate(security.AuthContext) (*security.Caller, error) {
	return &security.Caller{AuthSource: security.AuthSourceIDToken, Identities: b}, nil
}
