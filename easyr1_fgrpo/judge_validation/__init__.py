"""How far a judge can be trusted: agreement with reference verdicts, flips when asked again, planted errors caught."""
