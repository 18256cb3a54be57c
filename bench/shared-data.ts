/**
 * Writes the real test data as the dataset files that jobs take, for each model one for calibration, one or more for
 * evaluation and a preprocess description, and `datasets.json` that lists them.
 *
 *     npm run bench -- shared-data OUT
 *
 * The models and the raw data are in TRITFORGE_TEST_DATA, by default in ../shared/data beside the repository.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Preprocess } from '@tritforge/contracts';
import { autoencoder, voiceActivity } from './shared-data/audio.js';
import type { DatasetEntry } from './shared-data/datasets.js';
import { byteImages, folderLabelledTar, labelledTar } from './shared-data/images.js';
import { stories } from './shared-data/tokens.js';

/** A model with what its preprocess file says. */
type Entry = Omit<DatasetEntry, 'preprocess'> & { readonly preprocess: Preprocess | null };

const IMAGENET_MEAN = [0.485, 0.456, 0.406];
const IMAGENET_STD = [0.229, 0.224, 0.225];
const IMAGENET_CROP: Preprocess = { resize: { shortSide: 256 }, centerCrop: 224, scale: 1 / 255 };
const CALIBRATION_IMAGES = 4000;
const CALIBRATION_DIGITS = 512;

const cifarTest10k = 'cifar10-test10k.tar';
const cifar = {
  calibration: 'cifar10-train4000.npz',
  training: 'cifar10-train50k.tar',
  evaluation: 'cifar10-test1000.npz',
  furtherEvaluations: [cifarTest10k],
  metric: 'top1',
} as const;
const imagenet = { calibration: 'imagenet-eli1000.tar', evaluation: 'imagenet-nips1000.tar', metric: 'top1' } as const;

const ENTRIES: readonly Entry[] = [
  {
    model: 'resnet20_cifar10.onnx',
    ...cifar,
    preprocess: { scale: 1 / 255, mean: IMAGENET_MEAN, std: IMAGENET_STD },
  },
  // The archive of images must say that bytes are fed as they are.
  { model: 'resnet8_cifar10_mlperftiny.onnx', ...cifar, preprocess: {} },
  {
    model: 'squeezenet1.1.onnx',
    ...imagenet,
    preprocess: { ...IMAGENET_CROP, mean: IMAGENET_MEAN, std: IMAGENET_STD },
  },
  { model: 'mobilenet_v1_0.75.onnx', ...imagenet, preprocess: { ...IMAGENET_CROP, mean: 0.5, std: 0.5 } },
  {
    model: 'mnist.onnx',
    calibration: 'mnist-train512.npz',
    evaluation: 'mnist-test3000.npz',
    metric: 'top1',
    preprocess: null,
  },
  {
    model: 'ad01_autoencoder_mlperftiny.onnx',
    calibration: 'log-mel-calibration.npz',
    evaluation: 'log-mel-evaluation.npz',
    metric: 'mse',
    preprocess: null,
  },
  {
    model: 'stories260K.onnx',
    calibration: 'stories-calibration.npz',
    evaluation: 'stories-evaluation.npz',
    furtherEvaluations: ['stories-unseen.npz'],
    metric: 'perplexity',
    preprocess: null,
  },
  {
    model: 'silero_vad_16k.onnx',
    calibration: 'speech-calibration.npz',
    evaluation: 'speech-evaluation.npz',
    metric: 'agreement',
    preprocess: null,
  },
];

async function main(): Promise<void> {
  const out = process.argv[2];
  if (out === undefined) throw new Error('Usage: npm run bench -- shared-data OUT');
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const data = process.env.TRITFORGE_TEST_DATA ?? path.join(root, '..', 'shared', 'data');
  const set = (name: string) => path.join(data, 'sets', name);
  const to = (name: string) => path.join(out, name);
  await mkdir(out, { recursive: true });
  const rgb = [3, 32, 32];
  await byteImages(set('cifar10_train4000.bin.gz'), rgb, 'input', CALIBRATION_IMAGES, to(cifar.calibration));
  await byteImages(set('cifar10_test1000.bin.gz'), rgb, 'input', 1000, to(cifar.evaluation));
  await folderLabelledTar(set('cifar10_test10k_jpegq75.tar.gz'), to(cifarTest10k));
  await folderLabelledTar(set('cifar10_train50k_jpeg.tar.gz'), to(cifar.training));
  const digit = [1, 28, 28];
  await byteImages(set('mnist_train3000.bin.gz'), digit, 'Input3', CALIBRATION_DIGITS, to('mnist-train512.npz'));
  await byteImages(set('mnist_test3000.bin.gz'), digit, 'Input3', 3000, to('mnist-test3000.npz'));
  await labelledTar(set('imagenet_eli1000_256'), to(imagenet.calibration));
  await labelledTar(set('nips17_imagenet1000_256'), to(imagenet.evaluation));
  await stories(set('tinystories_val_tokens200.json.gz'), {
    calibration: to('stories-calibration.npz'),
    evaluation: to('stories-evaluation.npz'),
    unseen: to('stories-unseen.npz'),
  });
  const speech = set('silero_test.wav');
  await autoencoder(speech, to('log-mel-calibration.npz'), to('log-mel-evaluation.npz'));
  const vad = path.join(data, 'models', 'silero_vad_16k.onnx');
  await voiceActivity(speech, vad, to('speech-calibration.npz'), to('speech-evaluation.npz'));
  for (const { model, preprocess } of ENTRIES) {
    if (preprocess !== null)
      await writeFile(to(`${model}.preprocess.json`), `${JSON.stringify(preprocess, null, 2)}\n`);
  }
  const list = ENTRIES.map(({ preprocess, ...entry }) => ({
    ...entry,
    preprocess: preprocess && `${entry.model}.preprocess.json`,
  }));
  await writeFile(to('datasets.json'), `${JSON.stringify(list, null, 2)}\n`);
  console.log(`${list.length} models: ${to('datasets.json')}`);
}

await main();
