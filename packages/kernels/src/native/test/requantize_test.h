#pragma once

// Prints the first difference and returns false, or returns true.
bool output_stages_agree_with_onnxruntime();
