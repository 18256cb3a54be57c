"""A DAG that quantizes the model of its parameters: submit, wait, download."""

from airflow.sdk import dag

from tritforge_airflow import TritforgeDownloadOperator, TritforgeJobSensor, TritforgeSubmitOperator

PARAMS = {
    "model": "/data/model.onnx",
    "calibration": "/data/calibration.npz",
    "evaluation": "/data/evaluation.zip",
    "job": {"gates": {"maxAccuracyDrop": 1}},
    "folder": "/data/quantized",
}


@dag(dag_id="tritforge_quantize", schedule=None, params=PARAMS, render_template_as_native_obj=True)
def tritforge_quantize():
    submit = TritforgeSubmitOperator(
        task_id="submit",
        model="{{ params.model }}",
        calibration="{{ params.calibration }}",
        evaluation="{{ params.evaluation }}",
        job="{{ params.job }}",
        retries=3,
    )
    wait = TritforgeJobSensor(task_id="wait", job_id=submit.output, poke_interval=10, timeout=6 * 3600)
    download = TritforgeDownloadOperator(task_id="download", job_id=submit.output, folder="{{ params.folder }}", retries=3)
    submit >> wait >> download


tritforge_quantize()
