/**
 * The one registry of error codes. A code never changes its meaning and is never removed; clients branch on it.
 * `status` is the HTTP status when the error answers a request; a job that ends with the code keeps it in `job.error`.
 * `retryable` says whether the same request can succeed later without being changed.
 */
interface ErrorKind {
  readonly status: number;
  readonly title: string;
  readonly retryable?: true;
}

const registry = {
  // Requests
  BODY_INVALID: { status: 400, title: 'The request body does not match its schema' },
  BODY_NOT_JSON: { status: 400, title: 'The request body is not valid JSON' },
  BODY_TOO_LARGE: { status: 413, title: 'The request body is too large' },
  QUERY_INVALID: { status: 400, title: 'A query parameter is not valid' },
  HEADER_INVALID: { status: 400, title: 'A request header is not valid' },
  CURSOR_INVALID: { status: 400, title: 'The page cursor is not valid' },
  REQUEST_MALFORMED: { status: 400, title: 'The request is not valid HTTP' },
  REQUEST_TIMEOUT: { status: 408, title: 'The request took too long to arrive', retryable: true },
  HEADERS_TOO_LARGE: { status: 431, title: 'The request headers are too large' },
  CONTENT_TYPE_UNSUPPORTED: { status: 415, title: 'The content type is not supported here' },
  MULTIPART_INVALID: { status: 400, title: 'The multipart body is not well formed' },
  MULTIPART_PART_UNEXPECTED: { status: 400, title: 'The multipart body has a part that is not expected' },
  MULTIPART_PART_DUPLICATE: { status: 400, title: 'The multipart body has a part more often than allowed' },
  MULTIPART_PART_MISSING: { status: 400, title: 'The multipart body lacks a part' },
  UPLOAD_INCOMPLETE: { status: 400, title: 'The upload ended before all of it had arrived', retryable: true },
  UPLOAD_TOO_LARGE: { status: 413, title: 'The upload is larger than the service allows' },
  UPLOAD_EMPTY: { status: 400, title: 'The uploaded file is empty' },
  UPLOAD_NOT_FOUND: { status: 404, title: 'There is no such upload' },
  UPLOAD_UNFINISHED: { status: 409, title: 'Some bytes of the upload have not arrived yet', retryable: true },
  UPLOAD_OFFSET_MISMATCH: { status: 409, title: 'The upload goes on at another offset' },
  UPLOAD_LOCKED: { status: 423, title: 'Another request works on the upload', retryable: true },
  UPLOAD_DIRECT_UNAVAILABLE: { status: 404, title: 'The service takes no files straight into a bucket' },
  UPLOAD_PARTS_INVALID: { status: 400, title: 'The parts are not those of the upload' },
  UPLOAD_PROTOCOL_UNSUPPORTED: { status: 412, title: 'The request names no version of tus that is supported' },
  SOURCE_NOT_ALLOWED: { status: 403, title: 'The service takes no files from this address' },
  SOURCE_NOT_FOUND: { status: 404, title: 'There is no object at the address, or the service may not read it' },
  INSPECTION_TIMEOUT: { status: 422, title: 'Checking the file took too long' },
  INSPECTION_MEMORY_EXCEEDED: { status: 422, title: 'Checking the file took too much memory' },
  INSPECTION_CRASHED: { status: 500, title: 'The process that checked the file died', retryable: true },
  DIGEST_MISMATCH: {
    status: 400,
    title: 'The content does not match the digest that was sent with it',
    retryable: true,
  },
  RANGE_NOT_SATISFIABLE: { status: 416, title: 'The requested range lies outside the content' },
  NOT_FOUND: { status: 404, title: 'There is no such route' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'The method is not allowed here' },
  MODEL_NOT_FOUND: { status: 404, title: 'There is no such model' },
  DATASET_NOT_FOUND: { status: 404, title: 'There is no such dataset' },
  JOB_NOT_FOUND: { status: 404, title: 'There is no such job' },
  ARTIFACT_NOT_FOUND: { status: 404, title: 'There is no such artifact' },
  PROJECT_NOT_FOUND: { status: 404, title: 'There is no such project' },
  PROJECT_EXISTS: { status: 409, title: 'A project has this name already' },
  WEBHOOK_NOT_FOUND: { status: 404, title: 'There is no such webhook' },
  DELIVERY_NOT_FOUND: { status: 404, title: 'There is no such delivery' },
  WEBHOOK_TARGET_REFUSED: { status: 422, title: 'Webhooks are not sent to this address' },
  KEY_NOT_FOUND: { status: 404, title: 'There is no such API key' },
  REPORT_NOT_READY: { status: 409, title: 'The job has no report yet', retryable: true },
  REPORT_UNAVAILABLE: { status: 409, title: 'The job ended without a report' },
  RESOURCE_IN_USE: { status: 409, title: 'A job that has not ended uses this resource', retryable: true },
  JOB_NOT_ENDED: { status: 409, title: 'The job has not ended yet', retryable: true },
  JOB_ALREADY_ENDED: { status: 409, title: 'The job has already ended' },
  // Who asks
  UNAUTHENTICATED: { status: 401, title: 'The request has no valid API key' },
  SCOPE_MISSING: { status: 403, title: 'The API key may not do this' },
  RATE_LIMITED: { status: 429, title: 'The API key has sent too many requests', retryable: true },
  QUOTA_EXCEEDED: { status: 403, title: 'A quota of the project or the API key is used up' },
  // Requests that are sent again
  IDEMPOTENCY_KEY_REUSED: { status: 409, title: 'The idempotency key belongs to another request' },
  IDEMPOTENCY_IN_PROGRESS: {
    status: 409,
    title: 'A request with this idempotency key is still being worked on',
    retryable: true,
  },
  // Clients, of whom the service knows nothing
  SERVICE_UNREACHABLE: { status: 503, title: 'The service cannot be reached', retryable: true },
  ANSWER_INVALID: { status: 502, title: 'What answers is not the service' },
  WAIT_TIMEOUT: { status: 504, title: 'The job has not ended in the time that it was waited for', retryable: true },
  // The command line
  ENGINE_UNAVAILABLE: { status: 400, title: 'The engine that was asked for cannot run on this machine' },
  USAGE_INVALID: { status: 400, title: 'The command line is not valid' },
  // Models
  MODEL_NOT_ONNX: { status: 422, title: 'The file is not an ONNX model' },
  MODEL_TRUNCATED: { status: 422, title: 'The model file ends too early' },
  MODEL_INVALID: { status: 422, title: 'The model is not a valid ONNX graph' },
  MODEL_NO_OUTPUT: { status: 422, title: 'The model has no outputs' },
  MODEL_TENSOR_SIZE_MISMATCH: { status: 422, title: 'A tensor has more or fewer bytes than its shape says' },
  MODEL_TENSOR_TOO_LARGE: { status: 422, title: 'A tensor is larger than the service allows' },
  MODEL_EXTERNAL_DATA_MISSING: { status: 422, title: 'A file with external tensor data is missing' },
  MODEL_EXTERNAL_DATA_ESCAPES: { status: 422, title: 'External tensor data lies outside the model folder' },
  MODEL_EXTERNAL_DATA_RANGE: { status: 422, title: 'External tensor data lies outside its file' },
  MODEL_UNSUPPORTED_DTYPE: { status: 422, title: 'The model uses a data type that cannot be run safely' },
  MODEL_NOT_DIFFERENTIABLE: { status: 422, title: 'The model has an operator through which it cannot be trained' },
  MODEL_NOT_SEARCHABLE: { status: 422, title: 'The model has no number of channels that could be chosen' },
  MODEL_UNSUPPORTED_OPSET: { status: 422, title: 'The opset or IR version of the model is not supported' },
  MODEL_UNKNOWN_DOMAIN: { status: 422, title: 'The model uses operators of an unknown domain' },
  MODEL_UNKNOWN_OPERATOR: { status: 422, title: 'The model uses an operator that onnxruntime does not have' },
  MODEL_NONFINITE_WEIGHTS: { status: 422, title: 'A weight tensor contains NaN or infinity' },
  MODEL_NONFINITE_ACTIVATIONS: { status: 422, title: 'An activation becomes NaN or infinite on the given data' },
  MODEL_TOO_DEEP: { status: 422, title: 'Functions or subgraphs are nested too deeply' },
  MODEL_TOO_MANY_NODES: { status: 422, title: 'The model has too many nodes once its functions are expanded' },
  MODEL_TOO_COMPLEX: { status: 422, title: 'The model has more parts than the service allows' },
  MODEL_CYCLIC: { status: 422, title: 'The graph has a cycle' },
  MODEL_NOTHING_TO_QUANTIZE: { status: 422, title: 'The model has no layer that can be quantized' },
  MODEL_RUN_FAILED: { status: 422, title: 'onnxruntime cannot run the model' },
  // Datasets
  DATASET_FORMAT_UNKNOWN: { status: 422, title: 'The file is not an .npz, .zip or .tar dataset' },
  DATASET_CORRUPT: { status: 422, title: 'The dataset file is damaged' },
  DATASET_EMPTY: { status: 422, title: 'The dataset has no samples' },
  DATASET_ARRAY_INVALID: { status: 422, title: 'An array of the dataset is not a valid .npy file' },
  DATASET_DTYPE_UNSUPPORTED: { status: 422, title: 'An array of the dataset has an unsupported dtype' },
  DATASET_LENGTH_MISMATCH: { status: 422, title: 'The arrays of the dataset differ in length' },
  DATASET_LABELS_INVALID: { status: 422, title: 'The labels of the dataset are not valid' },
  DATASET_IMAGE_INVALID: { status: 422, title: 'An image of the dataset cannot be decoded' },
  DATASET_TOO_SMALL: { status: 422, title: 'The dataset has too few samples' },
  DATASET_TOO_LARGE: { status: 422, title: 'The dataset expands to more than the service allows' },
  DATASET_PATH_INVALID: { status: 422, title: 'The dataset archive has a member with an unsafe path' },
  DATASET_PREPROCESS_REQUIRED: { status: 422, title: 'Image datasets need a preprocess description' },
  DATASET_NAME_MISMATCH: { status: 422, title: 'The arrays of the dataset do not match the inputs of the model' },
  DATASET_SHAPE_MISMATCH: { status: 422, title: 'The samples of the dataset do not fit the shape of a model input' },
  DATASET_DTYPE_MISMATCH: { status: 422, title: 'The samples of the dataset do not fit the dtype of a model input' },
  DATASET_VALUES_INVALID: { status: 422, title: 'The dataset contains NaN or infinity' },
  DATASET_LABELS_MISSING: { status: 422, title: 'The metric needs labels and the dataset has none' },
  PREPROCESS_INVALID: { status: 422, title: 'The preprocess description is not valid' },
  // Recipes
  RECIPE_INVALID: { status: 422, title: 'The recipe is not valid' },
  RECIPE_UNSUPPORTED: { status: 422, title: 'The recipe asks for something that this version does not do' },
  SELECTOR_UNMATCHED: { status: 422, title: 'A layer selector matches no layer' },
  CALIBRATION_REQUIRED: { status: 422, title: 'The recipe asks for what needs calibration data' },
  METRIC_UNSUPPORTED: { status: 422, title: 'The metric cannot be computed from this model and data' },
  // Jobs
  JOB_EXPIRED: { status: 422, title: 'No worker started the job in the time that it was to start within' },
  JOB_DEADLINE_EXCEEDED: { status: 422, title: 'The job ran longer than its deadline' },
  JOB_MEMORY_EXCEEDED: { status: 422, title: 'The job needed more memory than it may use' },
  JOB_DISK_EXCEEDED: { status: 422, title: 'The job needed more scratch space than it may use' },
  JOB_CRASHED: { status: 500, title: 'The process that ran the job died', retryable: true },
  ARTIFACT_VERIFICATION_FAILED: { status: 500, title: 'An artifact does not compute what the engine computed' },
  GATE_FAILED: { status: 422, title: 'A gate of the job did not pass' },
  CANCELED: { status: 409, title: 'The work was canceled' },
  // Service
  SERVICE_OVERLOADED: { status: 503, title: 'The service is busy', retryable: true },
  SERVICE_UNAVAILABLE: { status: 503, title: 'A part of the service cannot be reached', retryable: true },
  CONTENT_CORRUPT: { status: 500, title: 'A stored file does not have the digest that it was stored under' },
  STORAGE_FULL: { status: 507, title: 'The service has no space left', retryable: true },
  INTERNAL: { status: 500, title: 'The service failed' },
} as const satisfies Record<string, ErrorKind>;

/** A stable error code, such as `MODEL_TRUNCATED`. */
export type ErrorCode = keyof typeof registry;

/** Every error code with its HTTP status, its title and whether a retry can help. */
export const ERROR_CODES: Readonly<Record<ErrorCode, ErrorKind>> = registry;
