// The public conformance suite for HTTP caches (https://cache-tests.fyi), its origin and its client
// in one process.
//
// Usage: node conformance.mjs FOLDER, where the suite is installed. Prints the port of its origin.
// Then each line that it reads, `HOST PORT TEST…`, makes it ask a node at that port of 127.0.0.1
// for that host: the tests named, or all. It prints what came of each as one line of JSON:
// [{ "id", "kind", "passed", "told" }].

import http from 'node:http'
import { createRequire } from 'node:module'
import path from 'node:path'
import readline from 'node:readline'
import { pathToFileURL } from 'node:url'

const folder = path.resolve(process.argv[2])
const load = file => import(pathToFileURL(path.join(folder, file)))
const fetch = createRequire(path.join(folder, 'package.json'))('node-fetch')

const handlers = {
  config: (await load('server/handle-config.mjs')).default,
  state: (await load('server/handle-state.mjs')).default,
  test: (await load('server/handle-test.mjs')).default
}
const config = await load('client/config.mjs')
const { makeCacheTest, testResults } = await load('client/test.mjs')
const suites = [
  ...(await load('tests/index.mjs')).default,
  (await load('tests/surrogate-control.mjs')).default
]

const origin = http.createServer((request, response) => {
  const [, name, ...rest] = request.url.split('?')[0].split('/')
  handlers[name](rest, request, response)
})
await new Promise(resolve => origin.listen(0, '127.0.0.1', resolve))
// What the suite logs must not stand between the lines of JSON.
const print = console.log
console.log = console.error
print(origin.address().port)

// All names are the node's.
const lookup = (_name, options, done) =>
  options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)
const agent = new http.Agent({ lookup })
config.setFetch((url, init) => fetch(url, { ...init, agent }))

async function run (base, ids) {
  const wanted = test => !test.browser_only && (ids.length === 0 || ids.includes(test.id))
  // The suite changes its tests while it runs them.
  const tests = structuredClone(suites.flatMap(suite => suite.tests).filter(wanted))
  for (const test of tests) delete testResults[test.id]
  config.setBaseUrl(base)
  await Promise.all(tests.map(makeCacheTest))
  return tests.map(({ id, kind = 'required' }) => {
    const result = testResults[id]
    return { id, kind, passed: result === true, told: result === true ? '' : result.join(': ') }
  })
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const [host, port, ...ids] = line.split(' ')
  print(JSON.stringify(await run(`http://${host}:${port}`, ids)))
}
origin.close()
