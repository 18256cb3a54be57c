import path from 'node:path';
import type { S3Config } from './blobs/s3/s3-config.js';
import { SHARED_SETTINGS, type SharedConfig } from './settings.js';
import type { SourcesConfig } from './sources/object-sources.js';
import type { StoreConfig } from './store.js';

const CONNECTION = ['s3Endpoint', 's3Region', 's3Addressing'] as const;

/**
 * What API and workers open their store with.
 * @throws Error that names the setting which is missing
 */
export function storeConfigOf(config: SharedConfig): StoreConfig {
  const { databaseUrl, redisUrl, dataDir } = config;
  if (databaseUrl === null) {
    throw new Error('DATABASE_URL is not set. `npm start` sets it to the embedded PostgreSQL that it starts.');
  }
  const s3 = s3ConfigOf(config);
  return { databaseUrl, redisUrl, blobDir: path.join(dataDir, 'blobs'), s3, sources: sourcesConfigOf(config, s3) };
}

function sourcesConfigOf(config: SharedConfig, s3: S3Config | null): SourcesConfig {
  const { sources, s3Endpoint: endpoint, s3Region: region, s3Addressing: addressing } = config;
  return { allowed: sources, forbidden: s3 === null ? [] : [s3], connection: { endpoint, region, addressing } };
}

/** The bucket that the settings name, or null. @throws Error when they say more of a bucket that they do not name */
function s3ConfigOf(config: SharedConfig): S3Config | null {
  const { s3Bucket, s3Prefix: prefix, s3Endpoint: endpoint, s3Region: region, s3Addressing: addressing } = config;
  if (s3Bucket !== null) {
    return { bucket: s3Bucket, prefix, endpoint, publicEndpoint: config.s3PublicEndpoint, region, addressing };
  }
  const { s3Bucket: bucket, ...others } = SHARED_SETTINGS;
  // Sources are reached in the same way.
  const useless = ['s3Prefix', 's3PublicEndpoint', ...(config.sources.length === 0 ? CONNECTION : [])] as const;
  for (const key of useless) {
    if (config[key] === others[key].fallback) continue;
    throw new Error(
      `${others[key].env} is set and ${bucket.env} is not. Set both, or neither to store files in the data folder.`,
    );
  }
  return null;
}
