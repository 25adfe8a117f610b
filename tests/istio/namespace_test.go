package istio

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inside tells the program that it runs in namespaces of its own.
const inside = "HOLDFAST_INSIDE"

// Istio's own filters are not in a stock Envoy; the control plane leaves them out itself when it is told so.
var environment = []string{
	"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false", "PILOT_DISABLE_MX_ALPN=true",
	"XDS_AUTH_PLAINTEXT=true", "NO_PROXY=*", inside + "=1",
}

// agents is where Istio's agent keeps modules. Here it is memory, with all other files of the test and their keys in it.
const agents = "/var/lib/istio"

// TestLive runs a gateway, a sidecar and what they need in network, mount and process namespaces of its own: no port of the
// machine is taken, no file is left but an empty folder, and whatever was started ends with it, in whatever way it ends.
func TestLive(t *testing.T) {
	if os.Getenv(inside) != "" {
		live(t)
		return
	}
	if what := missing(); what != "" && os.Getenv("HOLDFAST_ALL") != "" {
		t.Fatalf("HOLDFAST_ALL wants everything to run, and it can't: %s", what)
	} else if what != "" {
		t.Skipf("LEFT OUT: everything that runs, gateway, sidecar and updates: %s", what)
	}
	runtime.LockOSThread() // the child is told of the death of this thread
	defer runtime.UnlockOSThread()
	child := exec.Command("/proc/self/exe", "-test.run=^TestLive$", "-test.v", "-test.timeout=4m")
	child.Env = append(os.Environ(), environment...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = namespaces()
	if err := child.Run(); err != nil {
		t.Fatalf("inside of its namespaces: %v", err)
	}
}

func namespaces() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{
		Cloneflags:   unix.CLONE_NEWPID,
		Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		Pdeathsig:    syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		attributes.Cloneflags |= unix.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return attributes
}

// missing says what this machine lacks to run a mesh, in words for whoever can change it.
func missing() string {
	probe := exec.Command("true")
	probe.SysProcAttr = namespaces()
	switch {
	case os.Getenv("HOLDFAST_ENVOY") == "":
		return "HOLDFAST_ENVOY names no Envoy"
	case os.Getenv("HOLDFAST_IMAGE") == "" && os.Getenv("HOLDFAST_WASM") == "":
		return "neither HOLDFAST_IMAGE nor HOLDFAST_WASM names what to run"
	case os.Getenv("HOLDFAST_IPTABLES") == "":
		return "there is no iptables; install it with: apt-get install -y iptables"
	}
	if err := probe.Run(); err != nil {
		return fmt.Sprintf("namespaces can't be made (%v); run this as root", err)
	}
	if err := os.MkdirAll(agents, 0o755); err != nil {
		return fmt.Sprintf("there is no %s to cover (%v); make it, empty, as root", agents, err)
	}
	return ""
}

// enter makes the namespaces look like the pods of this test: its own loopback, the workload's ports led to its sidecar, names
// of hosts, and folders that the agent writes to.
func enter(t *testing.T, workload string, hosts map[string]string) {
	t.Helper()
	must(t, raiseLoopback())
	iptables(t, "-s", "127.0.0.6", "-j", "RETURN")                       // from the sidecar to the workload
	iptables(t, "-d", workload, "-j", "REDIRECT", "--to-ports", "15006") // as istio-init does in a pod
	must(t, unix.Mount("none", agents, "tmpfs", 0, ""))
	must(t, os.MkdirAll(agents+"/data", 0o755))
	t.Setenv("TMPDIR", agents)
	var lines strings.Builder
	lines.WriteString("127.0.0.1 localhost\n")
	for name, address := range hosts {
		fmt.Fprintln(&lines, address, name)
	}
	file := filepath.Join(t.TempDir(), "hosts")
	must(t, os.WriteFile(file, []byte(lines.String()), 0o644))
	must(t, unix.Mount(file, "/etc/hosts", "", unix.MS_BIND, ""))
}

func raiseLoopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}

func iptables(t *testing.T, rule ...string) {
	t.Helper()
	arguments := append([]string{"-t", "nat", "-A", "OUTPUT", "-p", "tcp"}, rule...)
	if said, err := exec.Command(os.Getenv("HOLDFAST_IPTABLES"), arguments...).CombinedOutput(); err != nil {
		t.Fatalf("iptables %v: %v: %s", arguments, err, said)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually tries until it holds, for twenty seconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
