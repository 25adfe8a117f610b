package istio

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// discovery is where proxies find their control plane.
const discovery = "127.0.0.1:15010"

// proxy is an Envoy under Istio's agent, in the folder of a pod of its own.
type proxy struct {
	kind                              string // sidecar or router
	name, namespace, account, address string
	labels                            map[string]string
	admin                             int // this port and the three after it
	identity, root                    identity
	secrets                           map[string]string // the container's environment, of Secrets
	folder                            string
}

// start returns when Envoy has its configuration and serves.
func (p *proxy) start(t *testing.T) {
	t.Helper()
	p.folder = t.TempDir()
	p.lay(t, "etc/certs/cert-chain.pem", p.identity.pem())
	p.lay(t, "etc/certs/key.pem", p.identity.keyPEM(t))
	p.lay(t, "etc/certs/root-cert.pem", p.root.pem())
	p.lay(t, "var/lib/istio/envoy/envoy_bootstrap_tmpl.json", bootstrap(t))
	log, err := os.Create(filepath.Join(p.folder, "log"))
	must(t, err)
	agent := exec.Command("/proc/self/exe", "agent", "proxy", p.kind, "--domain", p.namespace+".svc.cluster.local", "--proxyLogLevel=warning")
	agent.Dir, agent.Stdout, agent.Stderr, agent.Env = p.folder, log, log, p.environment(t)
	must(t, agent.Start())
	t.Cleanup(func() {
		agent.Process.Kill()
		agent.Wait()
		if t.Failed() {
			t.Logf("%s ended its log with:\n%s", p.name, last(p.log(t), 40))
		}
	})
	eventually(t, p.name+" is ready", func() bool { return p.asked("/ready") == "LIVE\n" })
}

// bootstrap is Istio's template of an Envoy's first configuration, which lies beside this program.
func bootstrap(t *testing.T) []byte {
	t.Helper()
	program, err := os.Executable()
	must(t, err)
	template, err := os.ReadFile(filepath.Join(filepath.Dir(program), "envoy_bootstrap.json"))
	must(t, err)
	return template
}

func (p *proxy) lay(t *testing.T, name string, content []byte) {
	t.Helper()
	file := filepath.Join(p.folder, name)
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, content, 0o600))
}

func (p *proxy) environment(t *testing.T) []string {
	t.Helper()
	labels, err := json.Marshal(p.labels)
	must(t, err)
	settings, err := json.Marshal(map[string]any{
		"discoveryAddress": discovery, "controlPlaneAuthPolicy": "NONE", "binaryPath": os.Getenv("HOLDFAST_ENVOY"),
		"configPath": "./etc/istio/proxy", "proxyAdminPort": p.admin, "statusPort": p.admin + 3, "concurrency": 2,
		"terminationDrainDuration": "1s",
	})
	must(t, err)
	all := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.folder, "NO_PROXY=*", "POD_NAME=" + p.name, "POD_NAMESPACE=" + p.namespace,
		"SERVICE_ACCOUNT=" + p.account, "INSTANCE_IP=" + p.address, "ISTIO_META_CLUSTER_ID=Kubernetes",
		"ISTIO_METAJSON_LABELS=" + string(labels), "FILE_MOUNTED_CERTS=true", "JWT_POLICY=none", "CREDENTIAL_FETCHER_TYPE=",
		fmt.Sprintf("ENVOY_STATUS_PORT=%d", p.admin+1), fmt.Sprintf("ENVOY_PROMETHEUS_PORT=%d", p.admin+2),
		"PROXY_CONFIG=" + string(settings),
	}
	for name, value := range p.secrets {
		all = append(all, name+"="+value)
	}
	return all
}

// asked is what Envoy's administration says at a path; nothing where it does not answer.
func (p *proxy) asked(path string) string {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", p.admin, path))
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}

func (p *proxy) log(t *testing.T) string {
	t.Helper()
	said, err := os.ReadFile(filepath.Join(p.folder, "log"))
	must(t, err)
	return string(said)
}

func last(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
