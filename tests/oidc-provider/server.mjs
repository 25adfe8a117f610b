// A real authorization server for the tests and the demo: node-oidc-provider with client authentication by certificate,
// access tokens bound to certificates (RFC 8705) and to DPoP keys (RFC 9449), introspection (RFC 7662, RFC 9701) and revocation
// (RFC 7009).
//
// Environment: PORT, ISSUER, CERTIFICATE_FILE, KEY_FILE, CLIENT_CA_FILE, RS_SECRET, RS_KEYS (public JWKs), WALLET_SECRET, NODE_MODULES_DIR.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const env = process.env;

// The modules live in the cache, not beside this file, and NODE_PATH means nothing to `import`.
const from = createRequire(`${env.NODE_MODULES_DIR}/`);
const { Provider, errors } = await import(pathToFileURL(from.resolve('oidc-provider')));

const API = 'https://api.market.example';
const SCOPES = 'prices.read prices.write';

// What `resource` at the token endpoint decides. All tokens but the last are for the one API.
const RESOURCES = {
  [API]: { accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'ES256' } } },
  [`${API}/ps256`]: { accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'PS256' } } },
  [`${API}/short`]: { accessTokenFormat: 'jwt', accessTokenTTL: 1, jwt: { sign: { alg: 'ES256' } } },
  [`${API}/opaque`]: { accessTokenFormat: 'opaque', accessTokenTTL: 300 },
  'urn:rs:internal': { accessTokenFormat: 'opaque', accessTokenTTL: 300, audience: 'urn:rs:internal' },
};

const BY_CERTIFICATE = '/by-certificate';

const ROLES = { bank: ['trader'], wallet: ['trader'] };

function key(type, options, members) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig', ...members };
}

function client(id, bound) {
  return {
    client_id: id,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    scope: SCOPES,
    token_endpoint_auth_method: 'tls_client_auth',
    [id.includes('@') ? 'tls_client_auth_san_email' : 'tls_client_auth_san_dns']: id,
    tls_client_certificate_bound_access_tokens: bound,
  };
}

// A resource server, which gets no tokens and may introspect.
function resourceServer(id, method, members) {
  return { client_id: id, token_endpoint_auth_method: method, grant_types: [], response_types: [], redirect_uris: [], ...members };
}

const certificateOf = (ctx) => ctx.req.socket.getPeerX509Certificate();

function certificateSubjectMatches(ctx, property, expected) {
  const kind = { tls_client_auth_san_dns: 'DNS', tls_client_auth_san_email: 'email' }[property];
  if (!kind) throw new errors.InvalidClientAuth(`${property} is not used here`);
  return (certificateOf(ctx)?.subjectAltName ?? '').split(', ').includes(`${kind}:${expected}`);
}

const provider = new Provider(env.ISSUER, {
  // No ID tokens are issued, but each client has to name algorithms that there is a key for.
  clientDefaults: { id_token_signed_response_alg: 'ES256', introspection_signed_response_alg: 'ES256' },
  clients: [
    client('bank', true),
    client('insurer', true),
    client('legacy', false),
    client('curl@internal', false),
    {
      client_id: 'wallet',
      client_secret: env.WALLET_SECRET,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      scope: SCOPES,
      dpop_bound_access_tokens: true,
    },
    resourceServer('rs', 'client_secret_basic', { client_secret: env.RS_SECRET }),
    resourceServer('rs-post', 'client_secret_post', { client_secret: env.RS_SECRET }),
    resourceServer('rs-tls', 'tls_client_auth', { tls_client_auth_san_dns: 'rs-tls' }),
    ...JSON.parse(env.RS_KEYS ?? '[]').map((jwk) =>
      resourceServer(`rs-${jwk.alg}`, 'private_key_jwt', { token_endpoint_auth_signing_alg: jwk.alg, jwks: { keys: [jwk] } }),
    ),
  ],
  jwks: {
    keys: [
      key('ec', { namedCurve: 'P-256' }, { alg: 'ES256', kid: 'es-1' }),
      key('rsa', { modulusLength: 2048 }, { alg: 'PS256', kid: 'ps-1' }),
    ],
  },
  scopes: SCOPES.split(' '),
  clientAuthMethods: ['tls_client_auth', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  discovery: { mtls_endpoint_aliases: { introspection_endpoint: `${env.ISSUER}${BY_CERTIFICATE}/token/introspection` } },
  extraTokenClaims: (_ctx, token) => ({ roles: ROLES[token.clientId] ?? [] }),
  features: {
    devInteractions: { enabled: false },
    dPoP: { enabled: true },
    clientCredentials: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (_ctx, caller) => /^rs(-|$)/.test(caller.clientId) },
    jwtIntrospection: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      tlsClientAuth: true,
      getCertificate: certificateOf,
      certificateAuthorized: (ctx) => ctx.req.socket.authorized,
      certificateSubjectMatches,
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => API,
      getResourceServerInfo(_ctx, resource) {
        if (!(resource in RESOURCES)) throw new errors.InvalidTarget();
        return { scope: SCOPES, audience: API, ...RESOURCES[resource] };
      },
    },
  },
});

// The same endpoints once more, as those are announced that are for clients with certificates (RFC 8705 §5).
provider.use((ctx, next) => {
  if (ctx.path.startsWith(`${BY_CERTIFICATE}/`)) ctx.path = ctx.path.slice(BY_CERTIFICATE.length);
  return next();
});

for (const event of ['server_error', 'grant.error', 'introspection.error', 'revocation.error']) {
  provider.on(event, (_ctx, error) => console.error(event, error.message, error.error_description ?? '', error.error_detail ?? ''));
}

const tls = {
  cert: readFileSync(env.CERTIFICATE_FILE),
  key: readFileSync(env.KEY_FILE),
  ca: readFileSync(env.CLIENT_CA_FILE),
  requestCert: true,
  rejectUnauthorized: false,
};
createServer(tls, provider.callback()).listen(Number(env.PORT), '127.0.0.1', () => console.log(`listening ${env.PORT}`));

// It does not outlive whoever started it.
process.stdin.resume().on('end', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
