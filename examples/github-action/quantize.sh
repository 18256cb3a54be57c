#!/usr/bin/env bash
# The step of action.yml, by curl and jq alone. Settings come as environment variables, as action.yml names them.
# Exits as the command line does: 2 bad input, 3 a gate failed, 4 the job failed, 5 service unreachable, 6 canceled, 7 time is over.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Text of the service in an annotation, which ends with its line.
annotate() {
  printf '::error title=%s::%s\n' "$1" "$(printf '%s' "$2" | tr '\r\n' '  ')"
}

# call ANSWER CURL_ARGUMENTS…: one request, tried again while that makes sense. The key is no argument, which others could see.
call() {
  local answer=$1 status=0
  shift
  printf 'header = "Authorization: Bearer %s"\n' "${TRITFORGE_API_KEY:-}" | sed '/Bearer "$/d' |
    curl --silent --show-error --fail-with-body --retry "${RETRIES:-6}" --retry-connrefused --retry-max-time 300 --config - \
      --output "$answer" --write-out '%{http_code}' "$@" > "$work/status" || status=$?
  [ "$status" -eq 0 ] && return
  local code detail
  code=$(jq -r '.code // empty' "$answer" 2> /dev/null || true)
  detail=$(jq -r '"\(.detail) \(.remediation // "")"' "$answer" 2> /dev/null || true)
  annotate "${code:-SERVICE_UNREACHABLE}" "${detail:-No answer of $TRITFORGE_SERVER (curl $status, status $(cat "$work/status"))}"
  case $(cat "$work/status") in
    429 | 502 | 503 | 504) exit 5 ;;
    4*) exit 2 ;;
    5*) exit 1 ;;
    *) exit 5 ;;
  esac
}

form=(--form "model=@\"$MODEL\"")
parts=("$MODEL")
while IFS= read -r file; do
  [ -n "$file" ] || continue
  parts+=("$(dirname "$MODEL")/$file")
  form+=(--form "data=@\"$(dirname "$MODEL")/$file\";filename=\"$file\"")
done <<< "${EXTERNAL_DATA:-}"
for part in CALIBRATION EVALUATION; do
  [ -n "${!part:-}" ] || continue
  parts+=("${!part}")
  form+=(--form "${part,,}=@\"${!part}\"")
done
if [ -n "${JOB:-}" ]; then
  parts+=("$JOB")
  form+=(--form "job=<$JOB")
fi
for file in "${parts[@]}"; do
  [ -r "$file" ] || { annotate USAGE_INVALID "Cannot read $file"; exit 2; }
done

# A step that is sent twice makes one job; a run that is started again makes a new one.
content=$(cat "${parts[@]}" | sha256sum | cut -c 1-32)
key="github-${GITHUB_RUN_ID:-0}-${GITHUB_RUN_ATTEMPT:-1}-$content"
call "$work/job.json" "$TRITFORGE_SERVER/jobs" --header "Idempotency-Key: $key" "${form[@]}"
job=$(jq -r .id "$work/job.json")
echo "job-id=$job" >> "$GITHUB_OUTPUT"
echo "$job is submitted to $TRITFORGE_SERVER"

give_up=$(($(date +%s) + ${TIMEOUT_SECONDS:-3600}))
phase=
while :; do
  call "$work/job.json" "$TRITFORGE_SERVER/jobs/$job" --header "Prefer: wait=20"
  state=$(jq -r .state "$work/job.json")
  now=$(jq -r '.phase // .state' "$work/job.json")
  [ "$now" = "$phase" ] || echo "$now"
  phase=$now
  case $state in succeeded | failed | canceled | expired) break ;; esac
  if [ "$(date +%s)" -ge "$give_up" ]; then
    annotate WAIT_TIMEOUT "$job is still $state after $TIMEOUT_SECONDS seconds. It goes on."
    exit 7
  fi
  sleep 1
done

# A job that a gate made fail has artifacts too.
mkdir -p "$OUT"
call "$work/artifacts.json" "$TRITFORGE_SERVER/jobs/$job/artifacts"
jq -r '.items[] | .id as $id | .files[] | [$id, .digest, .name] | @tsv' "$work/artifacts.json" > "$work/files"
first=
while IFS=$'\t' read -r artifact digest name; do
  case $name in */* | .*) annotate ANSWER_INVALID "An artifact is called $name"; exit 5 ;; esac
  call "$work/part" --get --data-urlencode "file=$name" "$TRITFORGE_SERVER/artifacts/$artifact/content"
  if [ "sha256:$(sha256sum < "$work/part" | cut -d ' ' -f 1)" != "$digest" ]; then
    annotate DIGEST_MISMATCH "What arrived for $name does not have the digest $digest"
    exit 5
  fi
  mv "$work/part" "$OUT/$name"
  [ -n "$first" ] || first=$OUT/$name
done < "$work/files"
if [ -n "$first" ]; then
  call "$OUT/report.json" "$TRITFORGE_SERVER/jobs/$job/report"
  call "$OUT/report.html" "$TRITFORGE_SERVER/jobs/$job/report.html"
  printf 'artifact=%s\nreport=%s\n' "$first" "$OUT/report.json" >> "$GITHUB_OUTPUT"
  jq -r '"| | original | quantized |", "|---|---|---|", "| bytes | \(.model.sizeBytes) | \(.artifacts[0].sizeBytes) |",
    (.accuracy // empty | "| \(.metric) | \(.original) | \(.quantized) |"),
    (.latency // empty | "| latency, ms | \(.originalMs) | \(.quantizedMs) |")' "$OUT/report.json" >> "$GITHUB_STEP_SUMMARY"
fi

case $state in
  succeeded) ;;
  canceled) annotate CANCELED "$job was canceled"; exit 6 ;;
  *)
    annotate "$(jq -r .error.code "$work/job.json")" "$(jq -r '"\(.error.message) \(.error.remediation // "")"' "$work/job.json")"
    [ "$(jq -r .error.code "$work/job.json")" = GATE_FAILED ] && exit 3
    exit 4
    ;;
esac
if [ "$(jq -r .gates.passed "$work/job.json")" = false ]; then
  annotate GATE_FAILED "$(jq -r '[.gates.results[] | select(.passed | not) | "\(.name) is \(.value), the limit is \(.limit)"] | join("; ")' "$work/job.json")"
  exit 3
fi
