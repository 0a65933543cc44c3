// The course that both majors of the TypeScript SDK take: log in, list, call, fail, refresh, close. Nothing here
// belongs to one of them; what differs stands in typescript_sdk_v1.mjs and typescript_sdk_v2.mjs.
//
// Standard output is a conversation of JSON lines: first {"authorize_url"}, which a person opens, then {"report"}.

import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

/** What is called: tools of the demo, or those of another gateway. */
const TOOLS = JSON.parse(process.env.COURSE_TOOLS ?? 'null') ?? {
  add: 'calculator___add_numbers',
  long: { name: 'everything___trigger-long-running-operation', arguments: { duration: 0.2, steps: 4 } },
};

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

/** Waits on loopback for the browser that comes back from the issuer. */
class Callback {
  static async open() {
    const callback = new Callback();
    callback.server = createServer((request, response) => {
      callback.answered(new URL(request.url, callback.url));
      response.end('You can close this window.');
    });
    callback.answer = new Promise((resolve) => (callback.answered = resolve));
    callback.server.listen(0, '127.0.0.1');
    await once(callback.server, 'listening');
    callback.url = `http://127.0.0.1:${callback.server.address().port}/callback`;
    return callback;
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** What an application gives to the SDK as its OAuthClientProvider: a memory, and a way to the person's browser. */
class Login {
  clientMetadata;
  #client;
  #tokens;
  #verifier;
  #discovery;
  #state = randomUUID();

  constructor(redirectUrl, name) {
    this.redirectUrl = redirectUrl;
    this.clientMetadata = {
      client_name: name,
      redirect_uris: [redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }

  state = () => this.#state;
  clientInformation = () => this.#client;
  saveClientInformation = (client) => void (this.#client = client);
  tokens = () => this.#tokens;
  saveTokens = (tokens) => void (this.#tokens = tokens);
  codeVerifier = () => this.#verifier;
  saveCodeVerifier = (verifier) => void (this.#verifier = verifier);
  discoveryState = () => this.#discovery;
  saveDiscoveryState = (discovery) => void (this.#discovery = discovery);
  redirectToAuthorization = (url) => say({ authorize_url: String(url) });

  /** Make the gateway refuse the next request: the SDKs refresh after a 401 only, whatever its reason. */
  spoilAccessToken() {
    this.#tokens = { ...this.#tokens, access_token: 'no-longer-good' };
  }
}

/** Every request and its answer's status, in order: [method, path, status, grant type or ""]. */
function recorder() {
  const requests = [];
  const recording = async (url, init) => {
    const answer = await fetch(url, init);
    const grant = init?.body instanceof URLSearchParams ? (init.body.get('grant_type') ?? '') : '';
    requests.push([init?.method ?? 'GET', new URL(url).pathname, answer.status, grant]);
    return answer;
  };
  return { requests, recording };
}

/**
 * Take the course. The sdk offers
 *   transport(login, fetch)  a transport to the gateway, not yet connected
 *   client()                 a client, not yet connected
 *   finish(transport, url)   the code exchange, from the URL that the browser came back to
 *   call(client, params, options)
 *   revision(client, transport)
 *   Unauthorized             the error that says that a person is needed
 */
export async function takeCourse(sdk) {
  const { requests, recording } = recorder();
  const callback = await Callback.open();
  const login = new Login(callback.url, sdk.name);

  const first = sdk.transport(login, recording);
  const refused = await sdk.client().connect(first).then(
    () => undefined,
    (error) => error,
  );
  if (!(refused instanceof sdk.Unauthorized)) throw refused ?? new Error('connected without a login');
  const cameBack = await callback.answer;
  callback.close();
  if (cameBack.searchParams.get('state') !== login.state()) throw new Error(`not our state: ${cameBack}`);
  await sdk.finish(first, cameBack);
  await first.close();
  const registered = login.clientInformation();
  const loggedIn = login.tokens();
  const loginRequests = requests.splice(0);

  const errors = [];
  const client = sdk.client();
  client.onerror = (error) => errors.push(String(error));
  const transport = sdk.transport(login, recording);
  await client.connect(transport);

  const tools = [];
  let cursor;
  do {
    const page = await client.listTools(cursor === undefined ? undefined : { cursor });
    tools.push(...page.tools.map((tool) => tool.name));
    cursor = page.nextCursor;
  } while (cursor !== undefined);

  const add = (a, b) => sdk.call(client, { name: TOOLS.add, arguments: { a, b } });
  const structured = await add(2, 40);
  const progress = [];
  const long = await sdk.call(
    client,
    TOOLS.long,
    { onprogress: ({ progress: done, total }) => progress.push([done, total]) },
  );
  const failed = await add('two', 40);

  const before = requests.length;
  login.spoilAccessToken();
  const again = await add(20, 22);
  const refreshRequests = requests.slice(before);

  const revision = sdk.revision(client, transport);
  const sessionId = transport.sessionId;
  const errorsBeforeClosing = [...errors];
  await transport.terminateSession();
  await client.close();

  say({
    report: {
      registered,
      scope: loggedIn.scope,
      login_requests: loginRequests,
      revision,
      had_session: sessionId !== undefined,
      tools,
      structured,
      long,
      progress,
      failed,
      again,
      refresh_requests: refreshRequests,
      tokens_renewed: [
        login.tokens().access_token !== loggedIn.access_token,
        login.tokens().refresh_token !== loggedIn.refresh_token,
      ],
      last_request: requests.at(-1),
      session_ended: transport.sessionId === undefined,
      errors: errorsBeforeClosing,
    },
  });
}
