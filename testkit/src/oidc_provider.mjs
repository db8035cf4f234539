// An OpenID Connect provider for tests: oidc-provider (npm, a certified implementation), with one client that
// signs, pushed requests and back-channel logout. A person is signed in without a page, as the file says that is
// named last; what it holds is read at each sign-in: {"sub": …, "acr": …, "claims": {…}}.
// Usage: node oidc_provider.mjs PORT CLIENT.json PERSON.json
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const [port, clientFile, personFile] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const client = JSON.parse(readFileSync(clientFile, 'utf8'));
const person = () => JSON.parse(readFileSync(personFile, 'utf8'));

const provider = new Provider(issuer, {
  clients: [client],
  acrValues: ['https://refeds.org/profile/mfa', 'urn:password'],
  claims: { openid: ['sub'], profile: ['name', 'functions'], acr: null, auth_time: null, sid: null, iss: null },
  // Claims of scopes go into the ID token, and not only to the userinfo.
  conformIdTokenClaims: false,
  cookies: { keys: ['not a secret'] },
  enabledJWA: {
    clientAuthSigningAlgValues: ['PS256', 'RS256'],
    idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256'],
  },
  clientAuthMethods: ['private_key_jwt'],
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
  },
  // It refuses loopback addresses by itself, which is where tests are.
  fetch: (url, options) => globalThis.fetch(url, { ...options, dispatcher: undefined }),
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...person().claims }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
});

provider.use(async (context, next) => {
  if (!context.path.startsWith('/interaction/')) return next();
  const details = await provider.interactionDetails(context.req, context.res);
  let result;
  if (details.prompt.name === 'login') {
    const { sub, acr, amr } = person();
    result = { login: { accountId: sub, acr, amr, remember: true } };
  } else {
    const grant = new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
    grant.addOIDCScope('openid profile');
    result = { consent: { grantId: await grant.save() } };
  }
  return provider.interactionFinished(context.req, context.res, result, { mergeWithLastSubmission: true });
});

for (const kind of ['server_error', 'backchannel.error', 'authorization.error', 'grant.error', 'pushed_authorization_request.error']) {
  provider.on(kind, (...all) => console.error(kind, ...all.map((one) => one?.error_description ?? one?.message ?? '')));
}
provider.on('backchannel.success', () => console.log('told of a logout'));
provider.listen(Number(port), '127.0.0.1', () => console.log(`ready ${issuer}`));
