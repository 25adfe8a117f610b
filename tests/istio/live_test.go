package istio

import "testing"

// live is the list of what runs in the namespaces, one after another on one mesh; each part leaves it as it was.
func live(t *testing.T) {
	w := newWorld(t)
	for _, part := range []struct {
		name string
		test func(*world, *testing.T)
	}{
		{"clients_through_gateway_and_sidecar", (*world).clients},
		{"peers_at_the_sidecar", (*world).peers},
		{"a_caller_without_a_certificate_through_an_optional_gateway", (*world).nobody},
		{"who_calls_whom_by_spiffe_id", (*world).workloads},
		{"nobody_but_the_gateway", (*world).onlyThroughTheGateway},
		{"tokens_that_say_nothing_at_both", (*world).opaque},
		{"what_a_wasmplugin_enforces", (*world).wasmPlugins},
		{"sessions_are_not_resumed", (*world).sessions},
		{"the_authorization_server_restarts", (*world).outage},
		{"a_refused_configuration", (*world).refusedConfiguration},
		{"a_wrong_digest", (*world).wrongDigest},
		{"a_new_version_takes_over", (*world).newVersion},
		{"what_logs_and_statistics_tell", (*world).observation},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(w, t) })
	}
}
