using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace NanoLora.Fuzz;

/// <summary>
/// The first inputs: small valid and malformed files of every kind, from the reference vectors (their folders formats, images and tokenizers/chat).
/// </summary>
internal static class Seeds
{
    private const int MaxBytes = 8 << 10;

    public static void Write(string vectors, string corpus)
    {
        var golden = Path.Combine(vectors, "formats");
        foreach (var file in Directory.GetFiles(Path.Combine(golden, "safetensors"), "*.safetensors")) Copy(file, corpus, "safetensors");
        foreach (var folder in Directory.GetDirectories(Path.Combine(golden, "safetensors"))) Shards(folder, corpus);
        foreach (var folder in (ReadOnlySpan<string>)["valid", "hostile"])
            foreach (var file in Directory.GetFiles(Path.Combine(golden, "pytorch", folder))) Copy(file, corpus, "pytorch");
        foreach (var folder in Directory.GetDirectories(Path.Combine(golden, "peft"))) Adapter(folder, corpus);
        foreach (var file in Directory.GetFiles(Path.Combine(vectors, "images", "decode", "files"))) Copy(file, corpus, "pictures");
        Arrays(corpus);
        foreach (var file in Directory.GetFiles(Path.Combine(vectors, "tokenizers", "chat"), "*.jinja")) Copy(file, corpus, "templates");
        Text(corpus, "tables", "plain", "path,label\none.png,a\n");
        Text(corpus, "tables", "all", "path,label,split,group\r\n\"one.png\",\"a, \"\"b\"\"\",train,me\r\none.png,b,test,you\r\n");
        Text(corpus, "texts", "plain", "j{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
        Text(corpus, "texts", "csv", "ctext,label\none,a\ntwo,b\n");
        Text(corpus, "plans", "named", """
            {"title": "t", "model": "m", "tasks": ["omniglot/Balinese", "mnist"], "shots": [1, "all"], "arms": ["uniform", "learned"]}
            """);
        Text(corpus, "plans", "own", """
            {"title": "t", "model": "m", "tasks": [{"name": "x", "images": "x.csv"}, {"name": "y", "images": "y", "invert": true}], "heldOut": ["y"],
             "overlaps": "leave-out", "arms": ["learned", {"name": "u3", "method": "uniform", "scale": 3}], "draws": 2, "seed": 7,
             "modules": {"rank": 4}, "settings": {"steps": 3}}
            """);
    }

    private static void Text(string corpus, string reader, string name, string text) => Put(corpus, reader, name, Encoding.UTF8.GetBytes(text));

    private static void Copy(string file, string corpus, string reader) => Put(corpus, reader, Path.GetFileNameWithoutExtension(file), File.ReadAllBytes(file));

    private static void Shards(string folder, string corpus)
    {
        var index = Path.Combine(folder, "model.safetensors.index.json");
        if (!File.Exists(index)) return;
        var text = File.ReadAllText(index)
            .Replace("model-00001-of-00002", "one", StringComparison.Ordinal).Replace("model-00002-of-00002", "two", StringComparison.Ordinal);
        var shard = Path.Combine(folder, "model-00001-of-00002.safetensors");
        byte[] one = File.Exists(shard) ? File.ReadAllBytes(shard) : [];
        Put(corpus, "safetensors", Path.GetFileName(folder), [.. Encoding.UTF8.GetBytes(text), 0, .. one]);
    }

    private static void Adapter(string folder, string corpus)
    {
        var config = Path.Combine(folder, "adapter_config.json");
        if (!File.Exists(config)) return;
        foreach (var name in (ReadOnlySpan<string>)["adapter_model.safetensors", "adapter_model.bin"])
        {
            var weights = Path.Combine(folder, name);
            if (File.Exists(weights)) Put(corpus, "peft", Path.GetFileName(folder), [.. File.ReadAllBytes(config), 0, .. File.ReadAllBytes(weights)]);
        }
    }

    // Three bytes as IDX and as NPY of versions 1 to 3, plain and packed.
    private static void Arrays(string corpus)
    {
        byte[] idx = [0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3];
        Put(corpus, "arrays", "idx", [(byte)'i', .. idx]);
        Put(corpus, "arrays", "idx-images", [(byte)'i', 0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 9, 8, 7, 6]);
        using (var packed = new MemoryStream())
        {
            using (var gzip = new GZipStream(packed, CompressionLevel.Optimal, leaveOpen: true)) gzip.Write(idx);
            Put(corpus, "arrays", "idx-gzip", [(byte)'i', .. packed.ToArray()]);
        }
        for (byte version = 1; version <= 3; version++)
        {
            var header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }".PadRight(version == 1 ? 117 : 115) + "\n";
            var length = new byte[version == 1 ? 2 : 4];
            if (version == 1) BinaryPrimitives.WriteUInt16LittleEndian(length, (ushort)header.Length);
            else BinaryPrimitives.WriteUInt32LittleEndian(length, (uint)header.Length);
            byte[] npy = [0x93, .. "NUMPY"u8, version, 0, .. length, .. Encoding.ASCII.GetBytes(header), 1, 2, 3];
            Put(corpus, "arrays", $"npy-{version}", [(byte)'n', .. npy]);
        }
    }

    private static void Put(string corpus, string reader, string name, byte[] bytes)
    {
        if (bytes.Length > MaxBytes) return;
        var folder = Directory.CreateDirectory(Path.Combine(corpus, reader)).FullName;
        File.WriteAllBytes(Path.Combine(folder, name), bytes);
    }
}
