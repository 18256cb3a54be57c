import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { LIGHT_MODELS, materialize, sharedData, skipWithout, unpackModels } from '@tritforge/quant-core/testing';

/** A network, its one input, and on which sizes of it to run. */
export interface Network {
  readonly name: string;
  readonly modelPath: string;
  readonly input: string;
  readonly dtype: 'float32' | 'int64';
  /** Shape of one calibration sample, without the batch. */
  readonly sample: readonly number[];
  /** Rows of the table: what is run, with the batch. */
  readonly cases: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

/** Weights of the topology that comes without. */
const SEED = 20170511;
const IMAGE = [3, 224, 224];
const PROMPT = 64;

/** The networks that are there, and why others are not. Topologies without weights are given random ones in the folder. */
export async function findNetworks(folder: string): Promise<{ networks: Network[]; missing: string[] }> {
  const networks: Network[] = [];
  const missing: string[] = [];
  const lightMissing = skipWithout(LIGHT_MODELS);
  if (lightMissing === false) networks.push(await resnet50(folder));
  else missing.push(lightMissing);
  for (const network of realNetworks()) {
    if (existsSync(network.modelPath)) networks.push(network);
    else missing.push(`${basename(network.modelPath)} is not in TRITFORGE_TEST_DATA nor in ../shared/data`);
  }
  return { networks, missing };
}

async function resnet50(folder: string): Promise<Network> {
  const paths = await unpackModels(sharedData(LIGHT_MODELS), join(folder, 'light'));
  const light = paths.find((path) => basename(path) === 'light_resnet50.onnx');
  if (light === undefined) throw new Error(`There is no light_resnet50.onnx in ${LIGHT_MODELS}`);
  return imageNetwork('ResNet-50, random weights', await materialize(light, folder, SEED), 'gpu_0/data_0', IMAGE);
}

function realNetworks(): Network[] {
  const model = (file: string) => sharedData('models', `${file}.onnx`);
  const stories: Network = {
    name: 'stories260K',
    modelPath: model('stories260K'),
    input: 'tokens',
    dtype: 'int64',
    sample: [PROMPT],
    cases: [
      { name: 'stories260K, 1 token', shape: [1, 1] },
      { name: `stories260K, ${PROMPT} tokens`, shape: [1, PROMPT] },
    ],
  };
  return [
    imageNetwork('ResNet-20', model('resnet20_cifar10'), 'input', [3, 32, 32]),
    imageNetwork('SqueezeNet 1.1', model('squeezenet1.1'), 'input', IMAGE),
    imageNetwork('MobileNetV1 0.75', model('mobilenet_v1_0.75'), 'input', IMAGE),
    stories,
  ];
}

function imageNetwork(name: string, modelPath: string, input: string, sample: readonly number[]): Network {
  return { name, modelPath, input, dtype: 'float32', sample, cases: [{ name, shape: [1, ...sample] }] };
}
