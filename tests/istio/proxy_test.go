package istio

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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
	defaults                          map[string]any    // the mesh's, of every proxy
	secrets                           map[string]string // the container's environment, of Secrets
	override                          string            // what Envoy adds to the agent's bootstrap
	folder                            string
	agent                             *exec.Cmd
	expected                          []string // of its access log: status and reason, request by request
}

// start lays its folder out, and returns when it serves.
func (p *proxy) start(t *testing.T) {
	t.Helper()
	p.folder = t.TempDir()
	p.lay(t, "etc/certs/cert-chain.pem", p.identity.pem())
	p.lay(t, "etc/certs/key.pem", p.identity.keyPEM(t))
	p.lay(t, "etc/certs/root-cert.pem", p.root.pem())
	p.lay(t, "var/lib/istio/envoy/envoy_bootstrap_tmpl.json", bootstrap(t))
	p.lay(t, customBootstrap, []byte(p.override))
	p.run(t)
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s ended its log with:\n%s", p.name, p.words(t, 30))
		}
	})
}

// restart is a new pod in its place.
func (p *proxy) restart(t *testing.T) {
	t.Helper()
	p.stop()
	p.run(t)
}

func (p *proxy) run(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(p.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	must(t, err)
	defer log.Close()
	p.agent = exec.Command("/proc/self/exe", "agent", "proxy", p.kind, "--domain", p.namespace+".svc.cluster.local", "--proxyLogLevel=warning")
	p.agent.Dir, p.agent.Stdout, p.agent.Stderr, p.agent.Env = p.folder, log, log, p.environment(t)
	must(t, p.agent.Start())
	eventually(t, p.name+" is ready", func() bool { return p.asked("/ready") == "LIVE\n" })
}

// stop returns when Envoy is gone too: the agent has it drain, and then ends it.
func (p *proxy) stop() {
	p.agent.Process.Signal(syscall.SIGTERM)
	p.agent.Wait()
}

// customBootstrap is where injection mounts what sidecar.istio.io/bootstrapOverride names.
const customBootstrap = "etc/istio/custom-bootstrap/custom_bootstrap.json"

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
	settings, err := json.Marshal(p.settings())
	must(t, err)
	all := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.folder, "NO_PROXY=*", "POD_NAME=" + p.name, "POD_NAMESPACE=" + p.namespace,
		"SERVICE_ACCOUNT=" + p.account, "INSTANCE_IP=" + p.address, "ISTIO_META_CLUSTER_ID=Kubernetes",
		"ISTIO_METAJSON_LABELS=" + string(labels), "FILE_MOUNTED_CERTS=true", "JWT_POLICY=none", "CREDENTIAL_FETCHER_TYPE=",
		fmt.Sprintf("ENVOY_STATUS_PORT=%d", p.admin+1), fmt.Sprintf("ENVOY_PROMETHEUS_PORT=%d", p.admin+2),
		"PROXY_CONFIG=" + string(settings), "ISTIO_BOOTSTRAP_OVERRIDE=" + filepath.Join(p.folder, customBootstrap),
	}
	for name, value := range p.secrets {
		all = append(all, name+"="+value)
	}
	metadata, _ := p.defaults["proxyMetadata"].(map[string]any)
	for name, value := range metadata {
		all = append(all, fmt.Sprintf("%s=%s", name, value)) // as injection does
	}
	return all
}

// settings are the mesh's defaults, and where this one is.
func (p *proxy) settings() map[string]any {
	settings := maps.Clone(p.defaults)
	maps.Copy(settings, map[string]any{
		"discoveryAddress": discovery, "controlPlaneAuthPolicy": "NONE", "binaryPath": os.Getenv("HOLDFAST_ENVOY"),
		"configPath": "./etc/istio/proxy", "proxyAdminPort": p.admin, "statusPort": p.admin + 3, "concurrency": 2,
		"terminationDrainDuration": "1s",
	})
	return settings
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

// listeners are those that take new connections; older ones, which only drain, would be in the way of seeing what is enforced.
func (p *proxy) listeners() string {
	return p.asked("/config_dump?resource=dynamic_listeners&mask=active_state")
}

func (p *proxy) log(t *testing.T) string {
	t.Helper()
	said, err := os.ReadFile(filepath.Join(p.folder, "log"))
	must(t, err)
	return string(said)
}

// words are the last lines of the log that are not the access log.
func (p *proxy) words(t *testing.T, lines int) string {
	t.Helper()
	all := slices.DeleteFunc(strings.Split(p.log(t), "\n"), func(line string) bool { return strings.HasPrefix(line, "{") })
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
