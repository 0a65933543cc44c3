// What well-known providers do differently, one row each. A row says
//
//   path        of the issuer; discovery lies under it
//   routes      where the endpoints are
//   metadata    whether an RFC 8414 document is served beside the OpenID one
//   advertises  the members of the discovery document (all: undefined)
//   oidc, api   scopes that it knows; a request for another one is refused
//   resource    ignore | refuse | honour: what an RFC 8707 parameter gets
//   offline     which authorization requests earn a refresh token
//   rotates     whether each refresh gives a new refresh token, and reuse of an old one ends the family
//   grace       seconds for which an old one may be used all the same
//   iss         whether authorization responses bear RFC 9207's parameter
//   tokens      opaque | jwt
//   access, id  what a JWT looks like, made from what oidc-provider would have said
//   userinfo    whether userinfo takes JWT access tokens
//   logout      whether /logout takes client_id and logout_uri, and nothing else
//   pkce        whether PKCE is demanded
//   offlineAtRefresh  whether a refresh may name offline_access, which oidc-provider does not count as granted here

export const API_ID = 'b7a1f3c2-5d64-4e0f-9a52-0c1de2f3a4b5'
export const TENANT = '0d9c1f0e-4b7a-4f58-8f3c-5a6b7c8d9e0f'
const GOOGLE = 'https://www.googleapis.com/auth'

const asked = (parameters, name) => (parameters.get(name) ?? '').split(' ')
const offlineScope = (parameters) => asked(parameters, 'scope').includes('offline_access')
const consents = (parameters) => asked(parameters, 'prompt').includes('consent')

const COMMON = [
  'issuer', 'authorization_endpoint', 'token_endpoint', 'jwks_uri', 'userinfo_endpoint', 'revocation_endpoint',
  'response_types_supported', 'subject_types_supported', 'id_token_signing_alg_values_supported', 'scopes_supported',
  'token_endpoint_auth_methods_supported', 'claims_supported',
]

export const profiles = {
  // docs.aws.amazon.com/cognito: user pool endpoints, understanding the access token
  cognito: {
    path: '/us-east-1_PoRtIcO01',
    routes: {
      authorization: '/oauth2/authorize',
      token: '/oauth2/token',
      userinfo: '/oauth2/userInfo',
      revocation: '/oauth2/revoke',
      end_session: '/logout',
      jwks: '/us-east-1_PoRtIcO01/.well-known/jwks.json',
    },
    metadata: false,
    advertises: [...COMMON, 'end_session_endpoint'],
    oidc: ['openid', 'email', 'profile'],
    api: ['mcp/invoke'],
    resource: 'ignore',
    offline: () => true,
    rotates: false,
    iss: false,
    logout: true,
    tokens: 'jwt',
    userinfo: true,
    access: ({ header, payload: { aud: _aud, ...payload }, account }) => ({
      header,
      payload: { ...payload, token_use: 'access', version: 2, username: account.id },
    }),
    id: ({ header, payload, account }) => ({
      header,
      payload: { ...payload, token_use: 'id', 'cognito:username': account.id },
    }),
  },

  // learn.microsoft.com/entra/identity-platform: v2-oauth2-auth-code-flow, access-token-claims-reference
  entra: {
    path: `/${TENANT}/v2.0`,
    routes: {
      authorization: `/${TENANT}/oauth2/v2.0/authorize`,
      token: `/${TENANT}/oauth2/v2.0/token`,
      userinfo: '/oidc/userinfo',
      end_session: `/${TENANT}/oauth2/v2.0/logout`,
      jwks: `/${TENANT}/discovery/v2.0/keys`,
    },
    metadata: false,
    advertises: [...COMMON.filter((name) => name !== 'revocation_endpoint'), 'end_session_endpoint'],
    oidc: ['openid', 'email', 'profile', 'offline_access'],
    api: [`api://${API_ID}/mcp.invoke`],
    resource: 'refuse',
    offline: offlineScope,
    rotates: true,
    grace: Number.MAX_SAFE_INTEGER, // old ones live on
    iss: false,
    pairwise: true,
    offlineAtRefresh: true,
    tokens: 'jwt',
    access: ({ header, payload: { scope, client_id, ...payload }, account }) => ({
      header: { ...header, typ: 'JWT' },
      payload: {
        ...payload,
        aud: API_ID,
        azp: client_id,
        scp: scope.replaceAll(`api://${API_ID}/`, ''),
        oid: account.oid,
        tid: TENANT,
        ver: '2.0',
      },
    }),
    id: ({ header, payload, account }) => ({
      header: { ...header, typ: 'JWT' },
      payload: { ...payload, oid: account.oid, tid: TENANT, ver: '2.0' },
    }),
  },

  // developer.okta.com/docs/reference/api/oidc: a custom authorization server
  okta: {
    path: '/oauth2/default',
    routes: {
      authorization: '/oauth2/default/v1/authorize',
      token: '/oauth2/default/v1/token',
      userinfo: '/oauth2/default/v1/userinfo',
      revocation: '/oauth2/default/v1/revoke',
      introspection: '/oauth2/default/v1/introspect',
      end_session: '/oauth2/default/v1/logout',
      jwks: '/oauth2/default/v1/keys',
    },
    metadata: true,
    advertises: [...COMMON, 'end_session_endpoint', 'introspection_endpoint', 'code_challenge_methods_supported'],
    oidc: ['openid', 'email', 'profile', 'offline_access'],
    api: ['mcp.invoke'],
    resource: 'ignore',
    offline: offlineScope,
    rotates: true,
    grace: 30, // help.okta.com: refresh token rotation
    iss: false,
    tokens: 'jwt',
    userinfo: true,
    access: ({ header, payload: { scope, client_id, ...payload }, account }) => ({
      header,
      payload: { ...payload, ver: 1, aud: 'api://default', cid: client_id, uid: account.id, scp: scope.split(' ') },
    }),
  },

  // developers.google.com/identity/openid-connect/openid-connect
  google: {
    path: '',
    routes: {
      authorization: '/o/oauth2/v2/auth',
      token: '/token',
      userinfo: '/v1/userinfo',
      revocation: '/revoke',
      jwks: '/oauth2/v3/certs',
    },
    metadata: false,
    advertises: [...COMMON, 'code_challenge_methods_supported'],
    oidc: ['openid', 'email', 'profile'],
    api: [`${GOOGLE}/userinfo.email`, `${GOOGLE}/userinfo.profile`],
    resource: 'ignore',
    offline: (parameters) => parameters.get('access_type') === 'offline' && consents(parameters),
    rotates: false,
    iss: false,
    tokens: 'opaque',
    id: ({ header, payload, account: { hd } }) => ({ header, payload: hd ? { ...payload, hd } : payload }),
  },

  // Everything as the RFCs have it.
  strict: {
    path: '',
    routes: {},
    metadata: true,
    oidc: ['openid', 'email', 'profile', 'offline_access'],
    api: ['mcp/invoke', 'mcp/read'],
    resource: 'honour',
    offline: (parameters) => offlineScope(parameters) && consents(parameters),
    rotates: true,
    iss: true,
    tokens: 'jwt',
    pkce: true,
    consent: true,
  },
}
