// Package istio runs the manifests of istio/ through Istio's own code: its validators, its control plane, its agent.
package istio

import (
	"fmt"
	"os"
	"testing"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/cmd/pilot-agent/app"
	_ "istio.io/istio/pkg/config/xds" // every Envoy type that the control plane may send
	istioagent "istio.io/istio/pkg/istio-agent"
	"istio.io/istio/pkg/security"
	"istio.io/istio/security/pkg/nodeagent/sds"
)

// One program is linked, since linking Istio takes minutes: started as `istio.test agent …` it is Istio's agent.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		if err := agent(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// agent is pilot-agent: it starts Envoy, serves its certificates and pulls Wasm modules for it.
func agent(args []string) error {
	root := app.NewRootCommand(func(o *security.Options, c security.SecretManager, p *meshconfig.PrivateKeyProvider) istioagent.SDSService {
		return sds.NewServer(o, c, p)
	})
	root.SetArgs(args)
	return root.Execute()
}
