using System.Buffers.Binary;
using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace NanoLora.Benchmarks;

/// <summary>Reads safetensors files of float32 and int64 into tensors: the length of the header, the header in JSON, then the bytes.</summary>
internal static class TorchFile
{
    /// <summary>All tensors of a file, by name.</summary>
    public static Dictionary<string, Tensor> Read(string path)
    {
        using var file = File.OpenRead(path);
        Span<byte> length = stackalloc byte[8];
        file.ReadExactly(length);
        var header = new byte[BinaryPrimitives.ReadInt64LittleEndian(length)];
        file.ReadExactly(header);
        var start = file.Position;
        using var json = JsonDocument.Parse(header);
        var tensors = new Dictionary<string, Tensor>();
        foreach (var entry in json.RootElement.EnumerateObject())
        {
            if (entry.Name == "__metadata__") continue;
            var type = entry.Value.GetProperty("dtype").GetString() switch
            {
                "F32" => ScalarType.Float32,
                "I64" => ScalarType.Int64,
                var other => throw new InvalidDataException($"{path}: {entry.Name} is of the type {other}; known are F32 and I64."),
            };
            long[] shape = [.. entry.Value.GetProperty("shape").EnumerateArray().Select(n => n.GetInt64())];
            var tensor = empty(shape, type);
            file.Position = start + entry.Value.GetProperty("data_offsets")[0].GetInt64();
            file.ReadExactly(tensor.bytes);
            tensors[entry.Name] = tensor;
        }
        return tensors;
    }
}
