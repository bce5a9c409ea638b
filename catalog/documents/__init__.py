"""Whole plans as documents: read, written, and made true."""
