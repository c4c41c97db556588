using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Data;

/// <summary>
/// One task as one safetensors file: <c>images</c> U8 [n, channels, height, width], <c>labels</c> I32 [n], <c>groups</c> I32 [n] if it is known who made
/// the images; in the metadata name, classes (a JSON list), licence, source, pool, and how many of the images, the first ones, are for training. Any
/// integer type is read for labels and groups; without a training count, all images are for training.
/// </summary>
public static class TaskFile
{
    private const string Format = "nanolora.task.1", Parts = "images and labels";

    /// <summary>A task's name as that of a file or folder: lower case, words joined by hyphens.</summary>
    public static string BaseName(string task)
    {
        var name = new StringBuilder(task.Length);
        foreach (var c in task.ToLowerInvariant())
        {
            if (char.IsLetterOrDigit(c)) name.Append(c);
            else if (name.Length > 0 && name[^1] != '-') name.Append('-');
        }
        return name.ToString().TrimEnd('-') is { Length: > 0 } made ? made : "task";
    }

    /// <summary>Writes a task, under a temporary name first.</summary>
    /// <exception cref="CheckpointException">The file cannot be written.</exception>
    public static void Write(string path, ImageTask task)
    {
        var all = task.All();
        List<TensorSource> tensors =
        [
            new("images", FileDType.U8, [all.Count, all.Size.Channels, all.Size.Height, all.Size.Width], all.Pixels),
            new("labels", FileDType.I32, [all.Count], Integers(all.Labels)),
        ];
        if (all.Groups is not null) tensors.Add(new("groups", FileDType.I32, [all.Count], Integers(all.Groups)));
        SafetensorsWriter.Write(path, tensors, Metadata(Format, task));
    }

    /// <summary>What the metadata say of a task.</summary>
    internal static Dictionary<string, string> Metadata(string format, LabelledTask task) => new()
    {
        ["format"] = format,
        ["name"] = task.Name,
        ["classes"] = ToJson(task.Classes),
        ["licence"] = task.Train.Licence,
        ["source"] = task.Train.Source,
        ["pool"] = task.Pool.ToString(),
        [$"train_{task.Train.Noun}s"] = task.Train.Count.ToString(CultureInfo.InvariantCulture),
    };

    /// <summary>Reads a task.</summary>
    /// <exception cref="CheckpointException">The file is missing or no safetensors file.</exception>
    /// <exception cref="InvalidDataException">It holds no task: a tensor or an entry of the metadata is missing or does not fit; the message names
    /// it.</exception>
    public static ImageTask Read(string path)
    {
        using var file = new SafetensorsFile(path);
        var images = Tensor(file, "images", rank: 4, Parts);
        if (images.DType != FileDType.U8) throw Error(path, "images", $"{images} is not of unsigned bytes, U8.");
        if (images.Length > Array.MaxLength) throw Error(path, "images", $"{images} is larger than an array; split the task.");
        var count = (int)images.Shape[0];
        if (images.Shape.AsSpan()[1..].ContainsAnyExceptInRange(1, int.MaxValue)) throw Error(path, "images", $"{images} has no pixels.");

        var header = HeaderOf(file, count, "image", Parts);
        var groups = file.TryGet("groups", out _) ? Integers(file, "groups", count, int.MaxValue, "images", Parts) : null;
        var size = new ImageSize((int)images.Shape[1], (int)images.Shape[2], (int)images.Shape[3]);
        var pixels = file.Bytes(images);
        return new(header.Name, Part(pixels, 0, header.Train), Part(pixels, header.Train, count), header.Pool);

        ImageSet Part(ReadOnlySpan<byte> all, int from, int to)
        {
            var part = all[(from * size.Length)..(to * size.Length)].ToArray();
            var (labels, makers) = (header.Labels[from..to], groups?[from..to]);
            return new(header.Name, size, part, labels, header.Classes, makers) { Licence = header.Licence, Source = header.Source };
        }
    }

    /// <summary>What files of images and of texts have in common.</summary>
    internal sealed record Header(string Name, string[] Classes, int[] Labels, int Train, Pool Pool, string Licence, string Source);

    /// <summary>Reads labels and metadata.</summary>
    /// <param name="file">The file.</param>
    /// <param name="count">How many samples it has.</param>
    /// <param name="noun">What one is called.</param>
    /// <param name="parts">The tensors that a file of this kind has, for errors.</param>
    internal static Header HeaderOf(SafetensorsFile file, int count, string noun, string parts)
    {
        var (path, trainKey) = (file.Path, $"train_{noun}s");
        var classes = FromJson(path, Entry(file, "classes"));
        var labels = Integers(file, "labels", count, classes.Length - 1, $"{noun}s", parts);
        var pool = Pool.Upstream;
        if (file.Metadata.TryGetValue("pool", out var poolText) && !(Enum.TryParse(poolText, out pool) && Enum.IsDefined(pool)))
            throw Error(path, "pool", $"'{poolText}' is none of Pretraining, Upstream, HeldOut.");
        var train = count;
        if (file.Metadata.TryGetValue(trainKey, out var trainText)
            && !(int.TryParse(trainText, NumberStyles.None, CultureInfo.InvariantCulture, out train) && train <= count))
            throw Error(path, trainKey, $"'{trainText}' is no number of the {count} {noun}s.");
        return new(Entry(file, "name"), classes, labels, train, pool, Said("licence"), Said("source"));

        string Said(string key) => file.Metadata.GetValueOrDefault(key, "");
    }

    internal static InvalidDataException Error(string path, string field, string message) => new($"{path}: {field}: {message}");

    internal static TensorEntry Tensor(SafetensorsFile file, string name, int rank, string parts)
    {
        if (!file.TryGet(name, out var entry)) throw Error(file.Path, name, $"there is no such tensor; a task has {parts}.");
        return entry.Shape.Length == rank ? entry : throw Error(file.Path, name, $"{entry} should have {rank} axes.");
    }

    private static string Entry(SafetensorsFile file, string key) =>
        file.Metadata.TryGetValue(key, out var text) ? text : throw Error(file.Path, key, "the metadata has no such entry; a task has name and classes.");

    internal static int[] Integers(SafetensorsFile file, string name, int count, int most, string what, string parts)
    {
        var entry = Tensor(file, name, rank: 1, parts);
        if (entry.Shape[0] != count) throw Error(file.Path, name, $"{entry} does not belong to {count} {what}.");
        var values = file.ReadInt64(entry);
        var result = new int[count];
        for (var i = 0; i < count; i++)
        {
            if (values[i] < 0 || values[i] > most) throw Error(file.Path, name, $"number {i} is {values[i]}; 0 to {most} are possible.");
            result[i] = (int)values[i];
        }
        return result;
    }

    /// <summary>Little-endian, as in the file.</summary>
    internal static byte[] Integers(int[] values) => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    private static string ToJson(string[] classes)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            foreach (var name in classes) json.WriteStringValue(name);
            json.WriteEndArray();
        }
        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    private static string[] FromJson(string path, string text)
    {
        try
        {
            using var json = JsonDocument.Parse(text);
            var names = new List<string>();
            foreach (var name in json.RootElement.EnumerateArray()) names.Add(name.GetString() ?? throw Error(path, "classes", "a name is null."));
            return [.. names];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new InvalidDataException($"{path}: classes: the metadata should be a JSON list of names, but is '{text}'.", e);
        }
    }
}
