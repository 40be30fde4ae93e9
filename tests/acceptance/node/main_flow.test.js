// The main flow of anomaly detection with the official JavaScript client: a job from its making to its deletion.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'

import { Client, errors } from '@elastic/elasticsearch'

const READY = 'tidewatch listening on '
const JOB = 'requests'
const SPAN = 900
const START = 1_704_067_200
const BUCKETS = 7 * 96
const BURST = BUCKETS - 30

let folder, server, client

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tidewatch-'))
  const args = ['serve', '--listen', '127.0.0.1:0', '--data-dir', join(folder, 'data')]
  server = spawn(process.env.TIDEWATCH_BIN, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const lines = createInterface({ input: server.stdout })
  const node = await new Promise((resolve, reject) => {
    lines.on('line', (line) => line.startsWith(READY) && resolve(line.slice(READY.length)))
    server.on('exit', (code) => reject(new Error(`the server ended with ${code}`)))
  })
  client = new Client({ node })
})

after(async () => {
  await client?.close()
  if (server && server.exitCode === null && server.signalCode === null) {
    // It writes until it is gone, also to its folder.
    const gone = once(server, 'exit')
    server.kill()
    await gone
  }
  rmSync(folder, { recursive: true, force: true })
})

// Four records a bucket, and forty in the burst.
function records () {
  const all = []
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const count = bucket === BURST ? 40 : 4
    for (let i = 0; i < count; i++) {
      all.push({ time: (START + bucket * SPAN + 10 * i) * 1000, host: `web-${i % 2}` })
    }
  }
  return all
}

// Fails unless the client throws an error of its own with this status and type.
async function refused (promise, status, type) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof errors.ResponseError, String(error))
    assert.equal(error.statusCode, status)
    assert.equal(error.body.error.type, type)
    return true
  })
}

test('who is there', async () => {
  const info = await client.info()
  assert.equal(info.tagline, 'You Know, for Search')
  assert.equal(await client.ping(), true)
  assert.equal((await client.cluster.health()).status, 'green')
  assert.equal((await client.ml.info()).upgrade_mode, false)
})

test('create, open, post, flush', async () => {
  const config = {
    job_id: JOB,
    description: 'requests by host',
    analysis_config: {
      bucket_span: '15m',
      detectors: [{ function: 'high_count', partition_field_name: 'host' }],
      influencers: ['host']
    },
    data_description: { time_field: 'time', time_format: 'epoch_ms' }
  }
  assert.equal((await client.ml.validate(config)).acknowledged, true)
  const made = await client.ml.putJob(config)
  assert.equal(made.job_id, JOB)
  assert.equal(made.analysis_config.detectors[0].detector_description, 'high_count partitionfield=host')
  assert.equal((await client.ml.openJob({ job_id: JOB })).opened, true)

  const data = records()
  const counts = await client.ml.postData({ job_id: JOB, data })
  assert.equal(counts.processed_record_count, data.length)
  const flushed = await client.ml.flushJob({ job_id: JOB })
  assert.equal(flushed.flushed, true)
  assert.equal(flushed.last_finalized_bucket_end, (START + (BUCKETS - 1) * SPAN) * 1000)
})

test('the burst is found', async () => {
  const found = await client.ml.getBuckets({ job_id: JOB, sort: 'anomaly_score', desc: true })
  assert.equal(found.count, BUCKETS - 1)
  assert.equal(found.buckets[0].timestamp, (START + BURST * SPAN) * 1000)
  assert.ok(found.buckets[0].anomaly_score > 50)
  const top = (await client.ml.getRecords({ job_id: JOB, record_score: 50 })).records[0]
  assert.equal(top.timestamp, (START + BURST * SPAN) * 1000)
  assert.deepEqual(top.actual, [20])
  assert.ok((await client.ml.getInfluencers({ job_id: JOB })).count >= 1)
  assert.ok((await client.ml.getOverallBuckets({ job_id: JOB, overall_score: 50 })).count >= 1)
})

test('update, statistics', async () => {
  const updated = await client.ml.updateJob({ job_id: JOB, description: 'now', groups: ['web'] })
  assert.equal(updated.description, 'now')
  assert.equal((await client.ml.getJobs({ job_id: 'web' })).count, 1)
  const stats = (await client.ml.getJobStats({ job_id: JOB })).jobs[0]
  assert.equal(stats.state, 'opened')
  assert.equal(stats.data_counts.processed_record_count, records().length)
})

test('errors are the client\'s own', async () => {
  await refused(client.ml.getJobs({ job_id: 'nobody' }), 404, 'resource_not_found_exception')
  await refused(client.ml.openJob({ job_id: JOB }), 409, 'status_exception')
  await refused(client.ml.deleteJob({ job_id: JOB }), 409, 'status_exception')
  await refused(client.ml.putFilter({ filter_id: 'Upper', items: [] }), 400, 'status_exception')
  await refused(client.ml.getBuckets({ job_id: JOB, timestamp: '0', size: 1 }), 400, 'illegal_argument_exception')
})

test('close, snapshots, delete', async () => {
  assert.equal((await client.ml.closeJob({ job_id: JOB })).closed, true)
  const { model_snapshots: [snapshot] } = await client.ml.getModelSnapshots({ job_id: JOB })
  assert.equal((await client.ml.getJobs({ job_id: JOB })).jobs[0].model_snapshot_id, snapshot.snapshot_id)
  const kept = await client.ml.updateModelSnapshot({ job_id: JOB, snapshot_id: snapshot.snapshot_id, retain: true })
  assert.equal(kept.model.retain, true)
  const reverted = await client.ml.revertModelSnapshot({ job_id: JOB, snapshot_id: snapshot.snapshot_id })
  assert.equal(reverted.model.snapshot_id, snapshot.snapshot_id)
  assert.equal((await client.ml.deleteJob({ job_id: JOB })).acknowledged, true)
  await refused(client.ml.getJobStats({ job_id: JOB }), 404, 'resource_not_found_exception')
})
