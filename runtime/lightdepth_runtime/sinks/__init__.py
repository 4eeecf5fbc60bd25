"""Where depth goes: pictures, arrays, points, videos, the Rerun viewer."""
