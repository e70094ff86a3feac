// Stands in for OpenCV's umbrella header: FFCV 1.0.2 uses cv::resize alone, and the umbrella names modules that the
// core and imgproc packages do not bring.
#pragma once
#include "opencv2/core.hpp"
#include "opencv2/imgproc.hpp"
