using System.Text;
using NanoLora.Nn;

namespace NanoLora.Data;

/// <summary>
/// One task on texts as one safetensors file, as <see cref="TaskFile"/> does it for images: <c>texts</c> U8, all texts in UTF-8 one behind the other, and
/// <c>ends</c> I32 [n], the place behind the last byte of each; labels and metadata are the same, and the number of texts for training is <c>train_texts</c>.
/// </summary>
public static class TextTaskFile
{
    private const string Format = "nanolora.texts.1", Parts = "texts, ends and labels";
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Writes a task, under a temporary name first.</summary>
    /// <exception cref="CheckpointException">The file cannot be written.</exception>
    public static void Write(string path, LabelledTextTask task)
    {
        ArgumentNullException.ThrowIfNull(task);
        var all = task.All();
        var (ends, bytes) = (new int[all.Count], new MemoryStream());
        for (var i = 0; i < ends.Length; i++)
        {
            bytes.Write(Encoding.UTF8.GetBytes(all.Texts[i]));
            ends[i] = checked((int)bytes.Length);
        }
        TensorSource[] tensors =
        [
            new("texts", FileDType.U8, [bytes.Length], bytes.ToArray()), new("ends", FileDType.I32, [ends.Length], TaskFile.Integers(ends)),
            new("labels", FileDType.I32, [all.Count], TaskFile.Integers(all.Labels)),
        ];
        SafetensorsWriter.Write(path, tensors, TaskFile.Metadata(Format, task));
    }

    /// <summary>Reads a task.</summary>
    /// <exception cref="CheckpointException">The file is missing or no safetensors file.</exception>
    /// <exception cref="InvalidDataException">It holds no task on texts: a tensor or an entry of the metadata is missing or does not fit; the message names
    /// it.</exception>
    public static LabelledTextTask Read(string path)
    {
        using var file = new SafetensorsFile(path);
        var (texts, ends) = (TaskFile.Tensor(file, "texts", rank: 1, Parts), TaskFile.Tensor(file, "ends", rank: 1, Parts));
        if (texts.DType != FileDType.U8) throw TaskFile.Error(path, "texts", $"{texts} is not of unsigned bytes, U8.");
        if (ends.Shape[0] > Array.MaxLength) throw TaskFile.Error(path, "ends", $"{ends} is larger than an array; split the task.");
        var count = (int)ends.Shape[0];
        var header = TaskFile.HeaderOf(file, count, "text", Parts);
        var all = Texts(path, file.Bytes(texts), TaskFile.Integers(file, "ends", count, int.MaxValue, "texts", Parts));
        return new(header.Name, Part(0, header.Train), Part(header.Train, count), header.Pool);

        TextSet Part(int from, int to) =>
            new(header.Name, all[from..to], header.Labels[from..to], header.Classes) { Licence = header.Licence, Source = header.Source };
    }

    private static string[] Texts(string path, ReadOnlySpan<byte> bytes, int[] ends)
    {
        var (texts, start) = (new string[ends.Length], 0);
        for (var i = 0; i < texts.Length; i++)
        {
            if (ends[i] < start || ends[i] > bytes.Length)
                throw TaskFile.Error(path, "ends", $"number {i} is {ends[i]}; {start} to {bytes.Length} are possible.");
            try { texts[i] = Utf8.GetString(bytes[start..ends[i]]); }
            catch (DecoderFallbackException e) { throw new InvalidDataException($"{path}: texts: number {i} is not UTF-8.", e); }
            start = ends[i];
        }
        return texts;
    }
}
