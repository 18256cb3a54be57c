/** Reports as pages: one HTML file that needs nothing else. */
export { REPORT_SECURITY_POLICY, renderReport } from './render-report.js';
