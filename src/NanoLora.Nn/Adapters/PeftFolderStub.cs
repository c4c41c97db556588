namespace NanoLora.Nn;
internal static class PeftFolder
{
    public static IReadOnlyList<LoraModule> LoadAll(string folder, Model model) => throw new NotSupportedException();
    public static LoraModule Load(string folder, Model model) => throw new NotSupportedException();
}
